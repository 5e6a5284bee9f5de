// Goal: a real guest goes on where it was on another host, with its memory, its disks and its consoles, and
//   whatever is cut or killed on the way, one emulator runs it and no other is left.
// Method: two daemons with QEMU on one machine, a guest that counts what it is asked, one image for both.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Backend } from '../../../src/daemons/xenopsd/backend.ts';
import { qemuBackend } from '../../../src/daemons/xenopsd/qemu/backend.ts';
import { guestKernelsIn } from '../../../src/drivers/guest-kernels.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeRandom } from '../../../src/drivers/node/random.ts';
import { type Bench, type Machinery, metadataOf, useBench, work } from '../xenopsd/harness.ts';
import { type Side, sharedStorage, sideOf, type Way, wayTo } from '../xenopsd/two-hosts.ts';
import { bootSector } from './boot-sector.ts';
import { consoleAt, consolePath, diskOf, emulatorsIn, noQemu, noUefi, VM, vifOf, vmOf } from './guests.ts';

const LINE = 'ready to count';
const noTpm = !existsSync('/usr/bin/swtpm');
const bench = useBench();

const backendOf = (own: Bench, basics: Machinery): Backend =>
  qemuBackend({
    ...basics,
    state: own.path('state/qemu'),
    random: nodeRandom,
    kernels: guestKernelsIn(nodeDisk, undefined),
  });

describe.skipIf(noQemu)(`QEMU guests that move${noQemu ? ` (${noQemu})` : ''}`, { timeout: 120_000 }, () => {
  let storage: ReturnType<typeof sharedStorage>;
  let a: Side;
  let b: Side;
  let way: Way;
  let clients: ReturnType<typeof consoleAt>[] = [];
  beforeEach(async () => {
    storage = sharedStorage();
    a = await sideOf(bench(), 'a', storage, backendOf);
    b = await sideOf(bench(), 'b', storage, backendOf);
    way = await wayTo(bench(), b.bench.path('xenopsd'));
    await a.start();
    await b.start();
  });
  afterEach(async () => {
    for (const client of clients) client.end();
    clients = [];
    for (const pid of await emulatorsIn(bench().folder)) process.kill(pid, 'SIGKILL');
  });

  /** The guest answers every key with the next letter. */
  const nextLetter = async (side: Side, letter: string): Promise<void> => {
    const state = await side.client.stat(VM);
    const client = consoleAt(consolePath(state!));
    clients.push(client);
    client.send('x');
    await client.until(letter);
  };
  const run = async (): Promise<void> => {
    const guest = { line: LINE, ending: 'poweroff', waitForKey: 'serial', answers: 'letters' } as const;
    await writeFile(join(bench().folder, 'boot'), bootSector(guest));
    const { vbd } = diskOf('');
    const disk = { ...vbd, backend: ['VDI', 'sr/boot'] as const };
    await a.client.importMetadata(metadataOf(vmOf(), [disk], [vifOf()]), 'test');
    await a.client.start(VM, false, work());
    await a.client.unpause(VM, work());
    const client = consoleAt(consolePath((await a.client.stat(VM))!));
    clients.push(client);
    await client.until(LINE);
    await nextLetter(a, 'A');
  };
  const migrate = (more: Parameters<typeof work>[0] = {}): Promise<void> =>
    a.client.migrate(VM, { url: way.url }, work(more));
  const running = async (side: Side): Promise<string | undefined> =>
    (await side.client.stat(VM))?.power_state;
  const emulators = async (side: Side): Promise<number> => (await emulatorsIn(side.bench.folder)).length;

  /** It runs on one side, counts on there, and ends without leaving anything. */
  const expectOnly = async (home: Side, away: Side, letter: string): Promise<void> => {
    await vi.waitFor(async () => {
      expect(await running(home)).toBe('Running');
      expect(await running(away)).toBeUndefined();
      expect(await emulators(away)).toBe(0);
      expect(storage.attached(away === a ? 'a' : 'b')).toEqual([]);
    }, 15_000);
    expect(await emulators(home)).toBe(1);
    expect(storage.clashes).toEqual([]);
    await nextLetter(home, letter);
    await home.client.shutdown(VM, undefined, work());
    expect(await emulators(home)).toBe(0);
    expect([...storage.attached('a'), ...storage.attached('b')]).toEqual([]);
  };

  test('a guest counts on where it was, with a console and a screen on the other host', async () => {
    await run();
    const progress: number[] = [];
    await migrate({ progress: (fraction) => progress.push(fraction) });
    const consoles = (await b.client.stat(VM))?.consoles.map(({ protocol, path }) => [
      protocol,
      path.startsWith(b.bench.folder),
    ]);
    expect(consoles).toEqual([
      ['Rfb', true],
      ['Vt100', true],
    ]);
    await expectOnly(b, a, 'B');
  });

  /** Of the bytes of a TPM. Its seeds are by chance, and its firmware changes counters in it meanwhile. */
  const alike = (one = '', other = ''): number => {
    const [a1, b1] = [Buffer.from(one, 'base64'), Buffer.from(other, 'base64')];
    const same = a1.filter((byte, at) => byte === b1[at]).length;
    return same / Math.max(1, a1.length, b1.length);
  };

  test.skipIf(noTpm || noUefi)('what its TPM and its firmware keep goes along', async () => {
    const { boot } = vmOf();
    const keeping = vmOf({ boot: { ...boot, firmware: 'Uefi', tpm: 'a-tpm' } as typeof boot });
    await a.client.importMetadata(metadataOf(keeping, [], []), 'test');
    await a.client.start(VM, false, work());
    await a.client.unpause(VM, work());
    const kept = await a.client.kept(VM);
    expect([...kept.keys()]).toEqual(['tpm', 'variables']);
    await migrate();
    expect(await running(b)).toBe('Running');
    const there = await b.client.kept(VM);
    expect(alike(there.get('tpm'), kept.get('tpm'))).toBeGreaterThan(0.9);
    await b.client.shutdown(VM, undefined, work());
    expect(alike((await b.client.kept(VM)).get('tpm'), kept.get('tpm'))).toBeGreaterThan(0.9);
    await vi.waitFor(async () => expect([await emulators(a), await emulators(b)]).toEqual([0, 0]), 15_000);
  });

  test('a guest that the other host cannot take counts on here: its way cut, its disk refused, its emulator gone', async () => {
    await run();
    way.catchAt('memory half way', () => {});
    await expect(migrate()).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
    await nextLetter(a, 'B');
    storage.refusals.push('b VDI.activate3');
    await expect(migrate()).rejects.toMatchObject({ tag: 'Storage_backend_error' });
    await nextLetter(a, 'C');
    way.catchAt('commit asked', () => {});
    await expect(migrate()).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
    await expectOnly(a, b, 'D');
  });

  test('a guest whose source dies with its memory half way counts on here, once a daemon is back', async () => {
    await run();
    way.catchAt('memory half way', a.kill);
    await expect(migrate()).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
    await a.restart();
    await expectOnly(a, b, 'B');
  });

  test.each(['commit asked', 'commit answered'] as const)(
    'both daemons die at "%s": the guest counts on, on one host',
    async (stop) => {
      await run();
      way.catchAt(stop, () => {
        a.kill();
        b.kill();
      });
      await expect(migrate()).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
      await Promise.all([a.restart(), b.restart()]);
      if (stop === 'commit asked') await expectOnly(a, b, 'B');
      else await expectOnly(b, a, 'B');
    },
  );

  test('while it is not known where a guest is, QEMU itself lets only one host have its disk', async () => {
    await run();
    way.catchAt('commit answered', way.cut);
    await expect(migrate()).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
    expect([await running(a), await running(b)]).toEqual(['Paused', 'Running']);
    expect([await emulators(a), await emulators(b)]).toEqual([1, 1]);
    await expect(a.client.unpause(VM, work())).rejects.toThrow();
    await a.client.shutdown(VM, undefined, work());
    expect(await running(a)).toBe('Halted');
    await a.client.remove(VM);
    await expectOnly(b, a, 'B');
  });
});
