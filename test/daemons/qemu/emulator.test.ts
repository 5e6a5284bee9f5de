// Goal: what the machine offers is found out by trying, and what is missing is said in words that help.
// Method: programs of the test stand in for emulators that are missing, old, broken or without KVM.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findEmulator } from '../../../src/daemons/xenopsd/qemu/emulator.ts';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';
import { silentLog } from '../../../src/std/log.ts';
import { backendAt, vmOf, work } from './guests.ts';

const answers = (major: number, minor: number) =>
  [
    { QMP: {} },
    { return: {} },
    { return: { qemu: { major, minor, micro: 1 } } },
    { event: 'X' },
    { return: [{ name: 'q' }, { name: 'pc-i440fx-9.9', alias: 'pc' }] },
    { return: {} },
  ]
    .map((message) => JSON.stringify(message))
    .join('\n');

describe('looking for the emulator', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'emu-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** A program that fails when one of its arguments contains a word, and else answers. */
  const program = async (failsAt: string, text: string): Promise<string> => {
    const path = join(folder, 'emulator');
    const fails = `case "$*" in *${failsAt}*) echo "no $1" >&2; exit 1;; esac`;
    await writeFile(
      path,
      `#!/bin/sh\n${failsAt === '' ? '' : fails}\ncat >/dev/null\ncat <<'END'\n${text}\nEND\n`,
    );
    await chmod(path, 0o755);
    return path;
  };
  const find = async (failsAt: string, text = answers(7, 2)) =>
    findEmulator(nodeProcesses, await program(failsAt, text), silentLog);

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
    expect(await find('kvm')).toMatchObject({ accelerator: 'tcg', sandbox: ['-sandbox', expect.anything()] });
    expect(await find('sandbox')).toMatchObject({ accelerator: 'kvm', sandbox: [] });
    expect(await find('netdev')).toMatchObject({ userNetwork: false });
  });

  test('one that is missing, broken or too old is refused in words that help', async () => {
    const missing = findEmulator(nodeProcesses, join(folder, 'none'), silentLog);
    await expect(missing).rejects.toThrow('install qemu-system-x86');
    await expect(find('tcg')).rejects.toThrow('does not work: no');
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
    await program('tcg', '');
    await expect(start()).rejects.toThrow('does not work');
    await backend.close();
  });
});
