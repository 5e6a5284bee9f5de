// Goal: what the machine offers is found out by trying, and what is missing is said in words that help.
// Method: programs of the test stand in for emulators that are missing, old, broken or without KVM.
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findEmulator } from '../../../src/daemons/xenopsd/qemu/emulator.ts';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';
import { silentLog } from '../../../src/std/log.ts';
import { backendAt, vmOf, work } from './guests.ts';

const words = [
  { 'cpuid-input-eax': 1, 'cpuid-register': 'EDX', features: 0x201 },
  { 'cpuid-input-eax': 7, 'cpuid-input-ecx': 0, 'cpuid-register': 'EBX', features: 0x20 },
];
const lines = (messages: readonly object[]) => messages.map((message) => JSON.stringify(message)).join('\n');
const answers = (major: number, minor: number) =>
  lines([
    { QMP: {} },
    { return: {} },
    { return: { qemu: { major, minor, micro: 1 } } },
    { event: 'X' },
    { return: [{ name: 'q' }, { name: 'pc-i440fx-9.9', alias: 'pc' }] },
    { return: {} },
  ]);
const reset = { event: 'SHUTDOWN', data: { guest: true, reason: 'guest-reset' } };
const ran = lines([{ QMP: {} }, { return: {} }, { return: words }, { return: {} }, reset]);
const neverRan = lines([{ QMP: {} }, { return: {} }, { return: words }, { return: {} }, { event: 'STOP' }]);

describe('looking for the emulator', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'emu-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** A program that fails when its arguments fit a pattern of the shell, and else answers. */
  const program = async (failsAt: string, text: string, guest = ran): Promise<string> => {
    const path = join(folder, 'emulator');
    const fails = `case "$*" in ${failsAt}) echo "no $1" >&2; exit 1;; esac`;
    const guests = `case "$*" in *-no-reboot*) cat <<'END'\n${guest}\nEND\nexit;; esac`;
    await writeFile(
      path,
      `#!/bin/sh\ncat >/dev/null\n${failsAt === '' ? '' : fails}\n${guests}\ncat <<'END'\n${text}\nEND\n`,
    );
    await chmod(path, 0o755);
    return path;
  };
  const virtual = 'processor\t: 0\nflags\t\t: fpu vmx sse\n';
  const find = async (failsAt: string, text = answers(7, 2), guest = ran, processors = virtual) => {
    const file = await program(failsAt, text, guest);
    return findEmulator({ processes: nodeProcesses, file, log: silentLog, processors });
  };

  test('everything that works is used, and the machine is called by its full name', async () => {
    expect(await find('')).toMatchObject({
      version: '7.2.1',
      accelerator: 'kvm',
      machine: 'pc-i440fx-9.9',
      sandbox: ['-sandbox', expect.stringContaining('spawn=deny')],
      userNetwork: true,
    });
  });

  test('what does not work is done without', async () => {
    expect(await find('*kvm*')).toMatchObject({
      accelerator: 'tcg',
      sandbox: ['-sandbox', expect.anything()],
    });
    expect(await find('*sandbox*')).toMatchObject({ accelerator: 'kvm', sandbox: [] });
    expect(await find('*netdev*')).toMatchObject({ userNetwork: false });
  });

  test('guests get the first processor with which one has run, and its features are known', async () => {
    const features = [0x201, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0];
    expect(await find('')).toMatchObject({ processors: { kvm: { argument: 'host', features } } });
    const nested = await find('*"-cpu host -m"*');
    expect(nested).toMatchObject({ processors: { kvm: { argument: 'host,arch-capabilities=off' } } });
    expect(await find('*"-cpu host"*')).toMatchObject({
      accelerator: 'tcg',
      processors: { tcg: { features } },
    });
  });

  test('a KVM that takes a guest and does not run it to its end is not used', async () => {
    const path = await program('', answers(7, 2));
    const text = await readFile(path, 'utf8');
    const stops = `case "$*" in *kvm*) cat <<'END'\n${neverRan}\nEND\nexit;; esac`;
    await writeFile(path, text.replace('cat >/dev/null', `cat >/dev/null\n${stops}`));
    const looking = { processes: nodeProcesses, file: path, log: silentLog, processors: virtual };
    expect((await findEmulator(looking)).accelerator).toBe('tcg');
  });

  test('a KVM without help of the processor, which would interpret guests, is not used', async () => {
    expect(await find('', answers(7, 2), ran, 'flags\t\t: fpu hypervisor\n')).toMatchObject({
      accelerator: 'tcg',
    });
  });

  test('one that is missing, broken or too old is refused in words that help', async () => {
    const looking = { processes: nodeProcesses, log: silentLog, processors: virtual };
    const missing = findEmulator({ ...looking, file: join(folder, 'none') });
    await expect(missing).rejects.toThrow('install qemu-system-x86');
    await expect(find('*tcg*')).rejects.toThrow('does not work: no');
    await expect(find('', answers(7, 1))).rejects.toThrow(
      'is QEMU 7.1.1; install qemu-system-x86 7.2 or newer',
    );
    expect((await find('', answers(10, 0))).version).toBe('10.0.1');
  });

  test('a backend without an emulator says so at a start, and looks again at the next', async () => {
    const path = join(folder, 'emulator');
    const backend = backendAt(join(folder, 'state'), path);
    expect(await backend.recover([], () => {})).toEqual([]);
    const start = () => backend.create({ domid: 1, vm: vmOf(), disks: [], vifs: [] }, work());
    await expect(start()).rejects.toThrow('was not found: install qemu-system-x86');
    await program('*tcg*', '');
    await expect(start()).rejects.toThrow('does not work');
    await backend.close();
  });
});
