// What the machine offers for guests: which QEMU, whether KVM works, whether it can lock itself in,
// and where UEFI is. Asked once, of the emulator itself, because permissions alone do not tell.

import type { Disk, Owner } from '../../../drivers/disk.ts';
import { type Processes, ProcessFailure } from '../../../drivers/processes.ts';
import { type Allowed, isAllowed } from '../../../std/allowed.ts';
import type { Log } from '../../../std/log.ts';
import { jsonIn, jsonOf, membersOf } from '../../../std/reader.ts';
import { notSupported } from '../refusal.ts';
import { type Argument, fixed } from './arguments.ts';
import { type GuestUsers, userOf } from './guest-users.ts';
import { type Accelerator, featuresSaid, type GuestProcessor } from './processor.ts';

export interface Emulator {
  readonly file: string;
  readonly version: string;
  /** What guests run with, unless they come from elsewhere with another. */
  readonly accelerator: Accelerator;
  readonly processors: { readonly [A in Accelerator]?: GuestProcessor };
  /** The machine by its full name: `pc` means another one after an upgrade, which no saved guest fits. */
  readonly machine: Allowed;
  /** Arguments that forbid the emulator what it never needs, such as starting programs. */
  readonly sandbox: readonly Argument[];
  /** QEMU can be built without its user network. */
  readonly userNetwork: boolean;
  /** Absent: guests run as the daemon's own user. */
  readonly users?: GuestUsers;
}

/** Of the accelerator that it is to use. */
export const processorOf = ({ processors, accelerator }: Emulator): GuestProcessor => {
  const found = processors[accelerator];
  if (found === undefined) throw new Error(`${accelerator} does not work here`);
  return found;
};

const PROBE_MS_MAX = 30_000;
const OUTPUT_MAX = 1024 * 1024;
const SANDBOX = fixed('-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny');
const QUESTIONS = [{ execute: 'query-version' }, { execute: 'query-machines' }, { execute: 'quit' }];

export interface Looking {
  readonly processes: Processes;
  readonly file: string;
  readonly log: Log;
  /** `/proc/cpuinfo`. */
  readonly processors: string;
  readonly users?: GuestUsers | undefined;
}

export const findEmulator = async (looking: Looking): Promise<Emulator> => {
  const { file, log } = looking;
  const users = looking.users && (await usableUsers(looking, looking.users));
  const user = users && userOf(users, 0);
  const asks: Asks = (args, questions = QUESTIONS) => probe(looking, args, questions, user);
  const bare = ['-machine', 'none'];
  const plain = await asks([...bare, '-accel', 'tcg']);
  if (!plain.answers) throw new Error(`${file} does not work: ${plain.complaint}`);
  const version = versionOf(plain.answers[1]);
  if (version.major < 7 || (version.major === 7 && version.minor < 2)) {
    throw new Error(`${file} is QEMU ${version.text}; install qemu-system-x86 7.2 or newer`);
  }
  const [processors, locked, network] = await Promise.all([
    provenProcessors(asks, looking),
    asks([...bare, '-accel', 'tcg', ...SANDBOX]),
    asks([
      ...[...bare, '-accel', 'tcg', '-netdev'],
      JSON.stringify({ type: 'user', id: 'probe', restrict: true }),
    ]),
  ]);
  const accelerator = processors.kvm === undefined ? 'tcg' : 'kvm';
  const { argument } = processors[accelerator] as GuestProcessor;
  log.info({ version: version.text, accelerator, processor: argument }, 'guests run by this emulator');
  return {
    file,
    version: version.text,
    accelerator,
    processors,
    machine: machineOf(plain.answers[2]),
    sandbox: locked.answers ? SANDBOX : [],
    userNetwork: network.answers !== undefined,
    ...(users && { users }),
  };
};

/** Asks an emulator of these arguments, which is to end by itself. */
type Asks = (args: readonly string[], questions?: readonly object[]) => Promise<Answers>;

interface Answers {
  /** What was asked for, the greeting's answer first. Absent: it did not get that far. */
  readonly answers?: readonly unknown[];
  readonly events: readonly unknown[];
  readonly complaint: string;
}

/**
 * Nested in another hypervisor, KVM may refuse part of a processor, or take it and fail once a guest runs.
 * First those that show the most of the machine's own.
 */
const candidates: { readonly [A in Accelerator]: readonly Argument[] } = {
  kvm: fixed('host', 'host,arch-capabilities=off'),
  tcg: fixed('max'),
};

const provenProcessors = async (
  asks: Asks,
  { file, log, processors: text }: Looking,
): Promise<Emulator['processors']> => {
  const tcg = await proven(asks, 'tcg');
  if (typeof tcg === 'string') throw new Error(`${file} does not run guests: ${tcg}`);
  // A KVM that does without them interprets what a guest's kernel does, slower than the emulator would.
  const kvm = /^flags\s*:.*\b(vmx|svm)\b/m.test(text)
    ? await proven(asks, 'kvm')
    : 'the processor shows no VMX or SVM';
  if (typeof kvm !== 'string') return { kvm, tcg };
  log.info({ reason: kvm }, 'KVM does not work here: guests run by emulation, slower');
  return { tcg };
};

/** Its firmware finds nothing to boot, starts over, and that ends it: a guest has run. */
const UNTIL_RESET = ['-m', '16', '-boot', 'reboot-timeout=0', '-no-reboot'];
const PROVING = [
  {
    execute: 'qom-get',
    arguments: { path: '/machine/unattached/device[0]', property: 'feature-words' },
  },
  { execute: 'cont' },
];

/** A processor with which a guest has run, or why there is none. */
const proven = async (asks: Asks, accelerator: Accelerator): Promise<GuestProcessor | string> => {
  let why = '';
  for (const argument of candidates[accelerator]) {
    const args = ['-machine', 'pc', '-accel', accelerator, '-cpu', argument, ...UNTIL_RESET];
    const { answers, events, complaint } = await asks(args, PROVING);
    const hasRun = events
      .map(membersOf)
      .some((one) => one['event'] === 'SHUTDOWN' && membersOf(one['data'])['reason'] === 'guest-reset');
    if (answers && hasRun) return { argument, features: featuresSaid(answers[1]) };
    why ||= complaint || 'a guest does not run to its end';
  }
  return why;
};

/** A system can be without the right to become others, or without these users. */
const usableUsers = async (
  { processes, file, log }: Looking,
  users: GuestUsers,
): Promise<GuestUsers | undefined> => {
  const run = { timeoutMs: PROBE_MS_MAX, outputMax: OUTPUT_MAX, user: userOf(users, 0) };
  const tried = await processes.run(file, ['--version'], run).catch((error: unknown) => {
    if (error instanceof ProcessFailure) return { code: undefined, stderr: error.message };
    throw error;
  });
  if (tried.code === 0) return users;
  log.warn({ reason: tried.stderr }, 'guests run as this daemon itself: no user of their own works here');
  return undefined;
};

/** Starts a machine without anything in it and asks the questions. */
const probe = async (
  { processes, file }: Looking,
  args: readonly string[],
  questions: readonly object[],
  user: Owner | undefined,
): Promise<Answers> => {
  const bare = ['-nodefaults', '-no-user-config', '-display', 'none', '-S'];
  const asked = [{ execute: 'qmp_capabilities' }, ...questions];
  const stdin = asked.map((question) => `${JSON.stringify(question)}\n`).join('');
  const run = { stdin, timeoutMs: PROBE_MS_MAX, outputMax: OUTPUT_MAX, ...(user && { user }) };
  const found = await processes.run(file, [...bare, ...args, '-qmp', 'stdio'], run).catch((error) => {
    if (!(error instanceof ProcessFailure)) throw error;
    if (error.reason === 'not-started')
      throw new Error(`${file} was not found: install qemu-system-x86 (QEMU 7.2 or newer) to run guests`);
    return { code: null, signal: null, stdout: '', stderr: error.message };
  });
  if (found.code !== 0)
    return { events: [], complaint: found.stderr.trim() || `it ended with ${found.code ?? found.signal}` };
  const lines = found.stdout.split('\n').filter((line) => line.trim() !== '');
  const messages = lines.map((line) => membersOf(jsonOf(line, 'an answer of the emulator')));
  return {
    answers: messages.filter((one) => 'return' in one || 'error' in one).map((one) => one['return']),
    events: messages.filter((one) => 'event' in one),
    complaint: '',
  };
};

const versionOf = (answer: unknown): { major: number; minor: number; text: string } => {
  const { major, minor, micro } = membersOf(membersOf(answer)['qemu']);
  return { major: Number(major), minor: Number(minor), text: `${major}.${minor}.${micro}` };
};

const machineOf = (answer: unknown): Allowed => {
  const machines = Array.isArray(answer) ? answer.map(membersOf) : [];
  const name = machines.find((one) => one['alias'] === 'pc')?.['name'];
  if (typeof name !== 'string' || !isAllowed('name', name))
    throw new Error('this QEMU has no machine called pc: install qemu-system-x86');
  return name;
};

export interface Firmware {
  readonly code: Allowed;
  /** What the variables of a new guest start from. */
  readonly variables: Allowed;
}

const FIRMWARE_FOLDERS = ['/etc/qemu/firmware', '/usr/local/share/qemu/firmware', '/usr/share/qemu/firmware'];
const DESCRIPTION_MAX = 64 * 1024;

/** Finds UEFI by the descriptions that its packages install for QEMU, first folder and name first. */
export const findFirmware = async (disk: Disk): Promise<Firmware> => {
  for (const folder of FIRMWARE_FOLDERS) {
    if (!(await disk.exists(folder))) continue;
    const names = (await disk.list(folder)).map((one) => one.name).filter((name) => name.endsWith('.json'));
    for (const name of names.sort()) {
      const found = fitting(jsonIn(await disk.readText(`${folder}/${name}`, DESCRIPTION_MAX)));
      if (found && (await disk.exists(found.code)) && (await disk.exists(found.variables))) return found;
    }
  }
  throw notSupported(
    'HVM_boot_params:firmware',
    'uefi',
    'no UEFI firmware for this machine was found: install ovmf, or boot the guest with BIOS',
  );
};

/** Secure Boot is left out: it needs a machine with SMM, and keys of which the guest's are not kept. */
const fitting = (description: unknown): Firmware | undefined => {
  const { 'interface-types': kinds, mapping, targets, features } = membersOf(description);
  const listed = (list: unknown, item: string) => Array.isArray(list) && list.includes(item);
  const fits = (Array.isArray(targets) ? targets : [])
    .map(membersOf)
    .some((one) => one['architecture'] === 'x86_64' && listed(one['machines'], 'pc-i440fx-*'));
  if (!fits || !listed(kinds, 'uefi') || listed(features, 'requires-smm')) return undefined;
  const { device, executable, 'nvram-template': template } = membersOf(mapping);
  const [code, variables] = [executable, template].map(membersOf);
  const isRaw = code?.['format'] === 'raw' && variables?.['format'] === 'raw';
  if (device !== 'flash' || !isRaw) return undefined;
  const [inCode, inVariables] = [String(code['filename']), String(variables['filename'])];
  if (!isAllowed('path', inCode) || !isAllowed('path', inVariables)) return undefined;
  return { code: inCode, variables: inVariables };
};
