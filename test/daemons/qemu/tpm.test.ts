// Goal: a guest has its TPM as long as it runs, what is in it comes back when it ends, and nothing of it is
//   left; a TPM that dies takes no guest along. The variables of its firmware come back in the same way.
// Method: real emulators with swtpm beside them, whose contents are read, and whose process is killed.

import { existsSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Kept } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { noQemu, noUefi, type TestHost, testHost, VM, vmOf, work } from './guests.ts';

const why = noQemu ?? (existsSync('/usr/bin/swtpm') ? undefined : 'swtpm is not installed');

describe.skipIf(why !== undefined)(`a TPM${why ? ` (${why})` : ''}`, { timeout: 60_000 }, () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await testHost();
  });
  afterEach(() => host.close());

  const { boot } = vmOf();
  const spec = () => host.spec([], [], { boot: { ...boot, tpm: 'a-tpm' } as typeof boot });
  /** The processes that serve guests of this host. */
  const servers = async (): Promise<readonly number[]> => {
    const ids = (await readdir('/proc')).map(Number).filter((pid) => pid > 1);
    const serves = async (pid: number): Promise<boolean> => {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const place = await readlink(`/proc/${pid}/cwd`).catch(() => '');
      return line.startsWith('/usr/bin/swtpm\0') && place.startsWith(host.folder);
    };
    const found = await Promise.all(ids.map(async (pid) => ((await serves(pid)) ? [pid] : [])));
    return found.flat();
  };
  const until = async (done: () => Promise<boolean>): Promise<void> => {
    while (!(await done())) await new Promise((resolve) => setImmediate(resolve));
  };

  test('is made anew, gives back what is in it, and goes with its guest', async () => {
    const { backend } = await host.daemon();
    await backend.create(spec(), work());
    const kept = await backend.kept(VM);
    expect(Buffer.from(kept?.get('tpm') ?? '', 'base64').length).toBeGreaterThan(1000);
    expect(await servers()).toHaveLength(1);
    await backend.destroy(VM);
    expect(await backend.kept(VM)).toEqual(new Map());
    await until(async () => (await servers()).length === 0);

    await backend.create({ ...spec(), ...(kept && { kept }) }, work());
    expect(await backend.kept(VM)).toEqual(kept);
  });

  test('sleeps and wakes with its guest', async () => {
    const { backend } = await host.daemon();
    await backend.create(spec(), work());
    const image = await host.file('saved', new Uint8Array());
    let kept: unknown;
    const asleep = async (): Promise<void> => {
      kept = await backend.kept(VM);
    };
    await backend.suspend(VM, image, { ...work(), asleep });
    expect(kept).toHaveProperty('size', 1);
    await until(async () => (await servers()).length === 0);
    await backend.resume(spec(), image, work());
    expect(await backend.kept(VM)).toEqual(kept);
  });

  test('that dies leaves its guest running, and what was in it', async () => {
    const { backend, reports } = await host.daemon();
    await backend.create(spec(), work());
    await backend.unpause(VM);
    const kept = await backend.kept(VM);
    for (const pid of await servers()) process.kill(pid, 'SIGKILL');
    await until(async () => (await servers()).length === 0);
    await backend.pause(VM);
    expect(reports).toEqual([]);
    expect(await backend.kept(VM)).toEqual(kept);
    const image = await host.file('saved', new Uint8Array());
    await expect(backend.suspend(VM, image, work())).rejects.toThrow();
    await backend.destroy(VM);
    expect(await host.emulators()).toEqual([]);
  });

  test('whose emulator is killed goes with it, and what was in it is there for whoever cleans up', async () => {
    const { backend } = await host.daemon();
    await backend.create(spec(), work());
    const kept = await backend.kept(VM);
    for (const pid of await host.emulators()) process.kill(pid, 'SIGKILL');
    await until(async () => (await servers()).length === 0);
    expect(await backend.kept(VM)).toEqual(kept);
    await backend.destroy(VM);
    expect(await backend.kept(VM)).toEqual(new Map());
  });

  test('is not started with what it cannot have left, and nothing stays of that guest', async () => {
    const { backend } = await host.daemon();
    const kept = new Map([['tpm', Buffer.from('no TPM').toString('base64')]] as const);
    await expect(backend.create({ ...spec(), kept }, work())).rejects.toThrow();
    await until(async () => (await servers()).length === 0);
    expect(await host.emulators()).toEqual([]);
  });
});

const noFirmware = noQemu ?? noUefi;

describe.skipIf(noFirmware !== undefined)(`variables${noFirmware ? ` (${noFirmware})` : ''}`, () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await testHost();
  });
  afterEach(() => host.close());
  const { boot } = vmOf();
  const spec = () => host.spec([], [], { boot: { ...boot, firmware: 'Uefi' } as typeof boot });
  const bytesOf = (kept: Kept | undefined): Buffer =>
    gunzipSync(Buffer.from(kept?.get('variables') ?? '', 'base64'));

  test('are those that the guest before has left, and the same again', async () => {
    const { backend } = await host.daemon();
    await backend.create(spec(), work());
    const first = bytesOf(await backend.kept(VM));
    await backend.destroy(VM);
    const changed = Buffer.from(first);
    changed.fill('a variable', first.length - 10);
    const kept = new Map([['variables', gzipSync(changed).toString('base64')]] as const);
    await backend.create({ ...spec(), kept }, work());
    expect(bytesOf(await backend.kept(VM)).equals(changed)).toBe(true);
  });

  test.each([
    ['no bytes of a firmware', Buffer.from('elsewhere')],
    ['those of a firmware with other room', gzipSync(Buffer.alloc(1000))],
    ['more than any has', gzipSync(Buffer.alloc(64 << 20))],
  ])('that are %s are begun anew', async (_what, bytes) => {
    const { backend } = await host.daemon();
    const kept = new Map([['variables', bytes.toString('base64')]] as const);
    await backend.create({ ...spec(), kept }, work());
    expect(bytesOf(await backend.kept(VM)).length).toBeGreaterThan(100_000);
  });
});
