// Goal: a host has the bytes of a disk of another host as of its own, and neither keeps anything open when one breaks off.
// Method: the two ends of the protocol over a pair of streams in memory, with simulated storage at the far one.
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Ref } from '../../src/model/types.ts';
import type { DiskWanted, OpenDisk } from '../../src/objects/disk.ts';
import type { PoolContext } from '../../src/pool/context.ts';
import { disksOpenMax, openDiskOn, pieceBytesMax, serveDisks } from '../../src/pool/disks.ts';
import { seededRandom } from '../../src/simulation/random.ts';
import { type HostVolumes, simulatedVolumes } from '../../src/simulation/volumes.ts';
import { silentLog } from '../../src/std/log.ts';
import { type World, world } from '../world.ts';
import { memoryStreams } from './memory-streams.ts';

const there = 'OpaqueRef:there' as Ref<'host'>;
const vdi = 'OpaqueRef:vdi' as Ref<'VDI'>;
const sizeBytes = 10n << 20n;

let host: World;
let volumes: HostVolumes;
let key: string;
let links: Duplex[];
let context: PoolContext;
let up: boolean;

beforeEach(async () => {
  links = [];
  up = true;
  const random = seededRandom('disks');
  const all = simulatedVolumes(random);
  all.add({ uuid: 'sr', name: '', description: '', type: 'ext', totalBytes: 1n << 40n });
  volumes = all.of('there', async () => {});
  await volumes.attachSr('ext', 'sr', new Map(), { debugInfo: 'test' });
  const made = { name: '', description: '', sizeBytes, sharable: false, type: 'user' };
  key = (await volumes.createVolume('sr', made, { debugInfo: 'test' })).key;
  host = await world({
    rows: (tx) => {
      tx.create('SR', 'OpaqueRef:sr' as Ref<'SR'>, { uuid: 'sr' });
      tx.create('VDI', vdi, { SR: 'OpaqueRef:sr' as Ref<'SR'>, location: key });
    },
  });
  context = {
    isUp: () => up,
    log: silentLog,
    mesh: memoryStreams(links),
  } as unknown as PoolContext;
  serveDisks(context, { storage: volumes, store: host.store, random });
});
afterEach(() => host.close());

const open = (how: DiskWanted['how'] = 'write'): Promise<OpenDisk> =>
  openDiskOn(context, there, { vdi, how, operation: 'copy' }, new AbortController().signal);
const codeOf = (done: Promise<unknown>): Promise<string> => done.then(String, (error) => error.code);
const closed = async (): Promise<void> => {
  while (volumes.datapaths('sr', key).length > 0) await new Promise(setImmediate);
};

describe('a disk of another host', () => {
  test('is read and written at any place and in any length', async () => {
    const disk = await open();
    expect(disk.sizeBytes).toBe(sizeBytes);
    const bytes = Buffer.alloc(pieceBytesMax + 12_345);
    bytes.forEach((_, i) => {
      bytes[i] = (i * 7) % 251;
    });
    await disk.write(bytes, 4_097n);
    await disk.flush();
    const into = Buffer.alloc(bytes.length);
    expect(await disk.read(into, 4_097n)).toBe(bytes.length);
    expect(into.equals(bytes)).toBe(true);
    expect(await disk.read(Buffer.alloc(64), sizeBytes - 10n)).toBe(10);
    expect(await disk.close()).toBeGreaterThan(0n);
  });

  test('has each answer for what was asked, also of several things asked at once', async () => {
    const disk = await open();
    const places = Array.from({ length: 8 }, (_, index) => BigInt(index * 4_096));
    await Promise.all(places.map((at, index) => disk.write(Buffer.alloc(4_096, index + 1), at)));
    const pieces = places.map(() => Buffer.alloc(4_096));
    const past = disk.write(Buffer.alloc(64), sizeBytes);
    const asked = pieces.map((into, index) => disk.read(into, places[index] as bigint));
    expect(await codeOf(past)).toBe('SR_BACKEND_FAILURE');
    await Promise.all(asked);
    expect(pieces.map((piece) => [piece[0], piece.at(-1)])).toEqual(places.map((_, i) => [i + 1, i + 1]));
    await disk.close();
  });

  test('is closed there before its closing is answered', async () => {
    const disk = await open();
    expect(volumes.datapaths('sr', key)).toHaveLength(1);
    await disk.close();
    expect(volumes.datapaths('sr', key)).toEqual([]);
  });

  test('is refused as it would be there, and goes on being read after a refusal', async () => {
    const disk = await open();
    expect(await codeOf(open())).toBe('VDI_IN_USE');
    expect(await codeOf(disk.write(Buffer.alloc(64), sizeBytes))).toBe('SR_BACKEND_FAILURE');
    expect(await disk.read(Buffer.alloc(64), 0n)).toBe(64);
    await disk.close();
    await host.store.commit((tx) => tx.delete('VDI', vdi));
    expect(await codeOf(open())).toBe('HANDLE_INVALID');
  });

  test('is closed there when the link breaks, and the reader is told which host is lost', async () => {
    const disk = await open();
    links[0]?.destroy(new Error('cut'));
    await closed();
    expect(await codeOf(disk.read(Buffer.alloc(64), 0n))).toBe('CANNOT_CONTACT_HOST');
    up = false;
    expect(await codeOf(open())).toBe('HOST_OFFLINE');
  });

  test('is not opened for somebody who has given up', async () => {
    const given = AbortSignal.abort(new Error('given up'));
    const asked = openDiskOn(context, there, { vdi, how: 'write', operation: 'copy' }, given);
    await expect(asked).rejects.toThrow('given up');
    await closed();
  });

  test('is one of a bounded number, and nobody can ask for too much of it', async () => {
    const disk = await open('read');
    const head = Buffer.alloc(13);
    head.writeUInt8(1, 0);
    head.writeUInt32BE(pieceBytesMax + 1, 9);
    links[0]?.write(head);
    await closed();
    expect(await codeOf(disk.read(Buffer.alloc(1), 0n))).toBe('CANNOT_CONTACT_HOST');
    const many = await Promise.all(Array.from({ length: disksOpenMax }, () => open('read')));
    expect(await codeOf(open('read'))).toBe('TOO_MANY_PENDING_TASKS');
    await Promise.all(many.map((one) => one.close()));
    await (await open('read')).close();
  });
});
