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

export interface Emulator {
  readonly file: string;
  readonly version: string;
  readonly accelerator: 'kvm' | 'tcg';
  /** The machine by its full name: `pc` means another one after an upgrade, which no saved guest fits. */
  readonly machine: Allowed;
  /** Arguments that forbid the emulator what it never needs, such as starting programs. */
  readonly sandbox: readonly Argument[];
  /** QEMU can be built without its user network. */
  readonly userNetwork: boolean;
  /** Absent: guests run as the daemon's own user. */
  readonly users?: GuestUsers;
}

const PROBE_MS_MAX = 30_000;
const OUTPUT_MAX = 1024 * 1024;
const SANDBOX = fixed('-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny');
const QUESTIONS = ['qmp_capabilities', 'query-version', 'query-machines', 'quit'];

export const findEmulator = async (
  processes: Processes,
  file: string,
  log: Log,
  wanted?: GuestUsers,
): Promise<Emulator> => {
  const users = wanted && (await usableUsers(processes, file, log, wanted));
  const user = users && userOf(users, 0);
  const ask = (args: readonly string[], machine = 'none') => probe(processes, file, machine, args, user);
  const plain = await ask(['-accel', 'tcg']);
  if (!plain.answers) throw new Error(`${file} does not work: ${plain.complaint}`);
  const version = versionOf(plain.answers[1]);
  if (version.major < 7 || (version.major === 7 && version.minor < 2)) {
    throw new Error(`${file} is QEMU ${version.text}; install qemu-system-x86 7.2 or newer`);
  }
  const [kvm, locked, network] = await Promise.all([
    // Nested in another hypervisor, KVM may open and then fail to offer the processor.
    ask(['-accel', 'kvm', '-cpu', 'host'], 'pc'),
    ask(['-accel', 'tcg', ...SANDBOX]),
    ask(['-accel', 'tcg', '-netdev', JSON.stringify({ type: 'user', id: 'probe', restrict: true })]),
  ]);
  if (!kvm.answers)
    log.info({ reason: kvm.complaint }, 'KVM does not work here: guests run by emulation, slower');
  return {
    file,
    version: version.text,
    accelerator: kvm.answers ? 'kvm' : 'tcg',
    machine: machineOf(plain.answers[2]),
    sandbox: locked.answers ? SANDBOX : [],
    userNetwork: network.answers !== undefined,
    ...(users && { users }),
  };
};

/** A system can be without the right to become others, or without these users. */
const usableUsers = async (
  processes: Processes,
  file: string,
  log: Log,
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

/** Starts a machine without anything in it, asks the questions and takes it down again. */
const probe = async (
  processes: Processes,
  file: string,
  machine: string,
  args: readonly string[],
  user: Owner | undefined,
): Promise<{ answers?: readonly unknown[]; complaint: string }> => {
  const bare = ['-nodefaults', '-no-user-config', '-machine', machine, '-display', 'none', '-S'];
  const stdin = QUESTIONS.map((execute) => `${JSON.stringify({ execute })}\n`).join('');
  const run = { stdin, timeoutMs: PROBE_MS_MAX, outputMax: OUTPUT_MAX, ...(user && { user }) };
  const found = await processes.run(file, [...bare, ...args, '-qmp', 'stdio'], run).catch((error) => {
    if (!(error instanceof ProcessFailure) || error.reason !== 'not-started') throw error;
    throw new Error(`${file} was not found: install qemu-system-x86 (QEMU 7.2 or newer) to run guests`);
  });
  if (found.code !== 0)
    return { complaint: found.stderr.trim() || `it ended with ${found.code ?? found.signal}` };
  const lines = found.stdout.split('\n').filter((line) => line.trim() !== '');
  const messages = lines.map((line) => membersOf(jsonOf(line, 'an answer of the emulator')));
  return { answers: messages.filter((one) => 'return' in one).map((one) => one['return']), complaint: '' };
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
