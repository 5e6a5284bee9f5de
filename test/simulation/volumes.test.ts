// Goal: simulated storage keeps what is written, shares what is shared, and lets one writer have a disk.
// Method: two hosts over one set of repositories, and bytes of disks against a model.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/simulation/random.ts';
import { type HostVolumes, simulatedVolumes } from '../../src/simulation/volumes.ts';

const call = { debugInfo: 'test' };
const MiB = 1n << 20n;
const disk = { name: 'disk', description: '', sizeBytes: 4n * MiB, sharable: false, type: 'user' };

const setUp = async (): Promise<readonly [HostVolumes, HostVolumes]> => {
  const volumes = simulatedVolumes(seededRandom('volumes'));
  volumes.add({ uuid: 'shared', name: 's', description: '', type: 'nfs', totalBytes: 100n * MiB });
  volumes.add({ uuid: 'local', name: 'l', description: '', type: 'ext', totalBytes: 100n * MiB, host: 'a' });
  const hosts = ['a', 'b'].map((host) => volumes.of(host, async () => {})) as [HostVolumes, HostVolumes];
  for (const host of hosts) await host.attachSr('nfs', 'shared', new Map(), call);
  return hosts;
};
const codeOf = (done: Promise<unknown>): Promise<string> => done.then(String, (error) => error.code);

describe('a repository', () => {
  test('on the disks of one host is that host’s alone', async () => {
    const [a, b] = await setUp();
    await a.attachSr('ext', 'local', new Map(), call);
    expect(await codeOf(b.attachSr('ext', 'local', new Map(), call))).toBe('SR_BACKEND_FAILURE');
    expect(await codeOf(b.statSr('local', call))).toBe('SR_NOT_ATTACHED');
  });

  test('counts what is used, and cannot be left while a disk of it is', async () => {
    const [a] = await setUp();
    const { key } = await a.createVolume('shared', disk, call);
    const open = await a.openVolume('shared', key, 'copy', true, call);
    await open.write(Buffer.alloc(100, 1), 0n);
    const { freeBytes, totalBytes } = await a.statSr('shared', call);
    expect(totalBytes - freeBytes).toBe(65_536n);
    expect(await codeOf(a.detachSr('shared', call))).toBe('VDI_IN_USE');
    await a.closeVolume('shared', key, 'copy', call);
    await a.destroyVolume('shared', key, call);
    expect((await a.statSr('shared', call)).freeBytes).toBe(totalBytes);
    await a.detachSr('shared', call);
    expect(a.isSrAttached('shared')).toBe(false);
  });
});

describe('a disk', () => {
  test('has one writer in the whole pool, and is free when that one has lost its power', async () => {
    const [a, b] = await setUp();
    const { key } = await a.createVolume('shared', disk, call);
    a.hold(['VDI', `shared/${key}`], 'vbd/1/xvda', true);
    expect(() => b.hold(['VDI', `shared/${key}`], 'vbd/1/xvda', true)).toThrow('VDI_IN_USE');
    expect(await codeOf(b.destroyVolume('shared', key, call))).toBe('VDI_IN_USE');
    expect([a.datapaths('shared', key), b.datapaths('shared', key)]).toEqual([['vbd/1/xvda'], []]);
    a.forget();
    b.hold(['VDI', `shared/${key}`], 'vbd/1/xvda', true);
    b.release('vbd/1/xvda');
    expect(b.datapaths('shared', key)).toEqual([]);
  });

  test('is copied as it is, and goes its own way from there', async () => {
    const [a, b] = await setUp();
    const { key } = await a.createVolume('shared', disk, call);
    const open = await a.openVolume('shared', key, 'one', true, call);
    await open.write(Buffer.from('before'), 10n);
    const snapshot = await b.snapshotVolume('shared', key, call);
    await open.write(Buffer.from('after!'), 10n);
    const read = await b.openVolume('shared', snapshot.key, 'two', false, call);
    const into = new Uint8Array(6);
    await read.read(into, 10n);
    expect(Buffer.from(into).toString()).toBe('before');
    expect(await b.resizeVolume('shared', key, 8n * MiB, call)).toBe(8n * MiB);
  });

  test('tells in few words where something is, however large it is', async () => {
    const [a] = await setUp();
    const { key } = await a.createVolume('shared', disk, call);
    const open = await a.openVolume('shared', key, 'copy', true, call);
    await open.write(Buffer.alloc(100_000, 1), 3n * 65_536n);
    const told = await open.extents?.(100n, 1n << 40n);
    expect(told).toEqual([
      { lengthBytes: 3n * 65_536n - 100n, zero: true },
      { lengthBytes: 2n * 65_536n, zero: false },
      { lengthBytes: (1n << 40n) + 100n - 5n * 65_536n, zero: true },
    ]);
  });

  test('reads what was written where, zeros elsewhere, and ends at its end', async () => {
    const piece = fc.record({
      at: fc.nat(300_000),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 70_000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
        const [a] = await setUp();
        const { key } = await a.createVolume('shared', { ...disk, sizeBytes: 400_000n }, call);
        const open = await a.openVolume('shared', key, 'copy', true, call);
        const model = Buffer.alloc(400_000);
        for (const { at, bytes } of pieces) {
          await open.write(bytes, BigInt(at));
          model.set(bytes, at);
        }
        const into = new Uint8Array(500_000).fill(7);
        expect(await open.read(into, 0n)).toBe(400_000);
        expect(Buffer.compare(into.subarray(0, 400_000), model)).toBe(0);
      }),
      { numRuns: 30 },
    );
  });
});
