// Goal: a client of NBD reads a disk exactly and learns where there is nothing; whatever else it sends is refused or
// ends the connection, and never the server.
// Method: our client, and clients that send what they like, over a pair of streams to a disk in memory.

import { type Duplex, duplexPair } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { connectNbd } from '../../../src/drivers/storage/nbd.ts';
import type { OpenVolume } from '../../../src/drivers/storage/storage.ts';
import { greet, untilNamed, untilTls } from '../../../src/rules/nbd/options.ts';
import { nbdPeer } from '../../../src/rules/nbd/peer.ts';
import { serveDisk } from '../../../src/rules/nbd/serving.ts';
import { memoryDisk } from '../images/memory-disk.ts';

const MIB = 1 << 20;

/** The client's end, and when the server has done with it. */
const served = (disk: OpenVolume): { readonly stream: Duplex; readonly ended: Promise<void> } => {
  const [stream, other] = duplexPair();
  const serve = async (): Promise<void> => {
    const peer = nbdPeer(other);
    const agreed = await greet(peer);
    const wanted = agreed && (await untilNamed(peer, agreed));
    if (wanted !== undefined) await serveDisk(peer, disk, wanted, (name) => name === wanted.name);
    other.end();
  };
  return { stream, ended: serve() };
};

const connect = (disk: OpenVolume, telling: boolean) => {
  const { stream, ended } = served(disk);
  const network = { connect: async () => stream } as never;
  return connectNbd({ network, clock: nodeClock }, { socketPath: '/x' }, 'disk', telling).then((client) => ({
    client,
    ended,
    /** The client says goodbye, and the server ends. */
    leave: async (): Promise<void> => {
      const closed = client.close();
      await ended;
      stream.destroy();
      await closed;
    },
  }));
};

const filled = async (telling: boolean): Promise<OpenVolume> => {
  const disk = memoryDisk(BigInt(5 * MIB + 512), telling);
  await disk.write(Buffer.alloc(3 * 65_536, 7), 65_536n);
  await disk.write(Buffer.from('end'), disk.sizeBytes - 3n);
  return disk;
};

describe.each([
  ['in chunks, and what is allocated', true],
  ['whole', false],
] as const)('a disk that is read %s', (_, telling) => {
  test('is what it is, also across pieces and at its end', async () => {
    const disk = await filled(telling);
    const { client, leave } = await connect(disk, telling);
    expect([client.sizeBytes, client.readOnly]).toEqual([disk.sizeBytes, true]);
    const [ours, theirs] = [Buffer.alloc(5 * MIB + 512), Buffer.alloc(5 * MIB + 512)];
    await client.read(theirs, 0n);
    await disk.read(ours, 0n);
    expect(theirs.equals(ours)).toBe(true);
    await client.flush();
    if (telling) {
      const extents = (await client.extents?.(0n, disk.sizeBytes)) ?? [];
      expect(extents[0]).toEqual({ lengthBytes: 65_536n, zero: true });
      expect(extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0n)).toBe(disk.sizeBytes);
    }
    await leave();
  });

  test('answers a read that storage fails with an error, after which all goes on', async () => {
    const disk = await filled(telling);
    let fails = true;
    const read: OpenVolume['read'] = async (into, position) => {
      if (fails) throw new Error('The cable is out');
      return disk.read(into, position);
    };
    const { client, leave } = await connect({ ...disk, read }, telling);
    await expect(client.read(Buffer.alloc(512), 0n)).rejects.toThrow(/EIO/);
    fails = false;
    expect(await client.read(Buffer.alloc(512), 0n)).toBe(512);
    await leave();
  });
});

test('storage that cannot tell what there is has data everywhere', async () => {
  const { client, leave } = await connect(await filled(false), true);
  expect(await client.extents?.(0n, 1000n)).toEqual([{ lengthBytes: 1000n, zero: false }]);
  await leave();
});

test('a client that writes is cut off, and nothing was written', async () => {
  const disk = memoryDisk(BigInt(MIB));
  const { client, ended } = await connect(disk, true);
  await expect(client.write(Buffer.alloc(512, 1), 0n)).rejects.toThrow();
  await ended;
  expect(disk.written).toEqual([]);
});

test('without TLS nobody gets as far as to name a disk', async () => {
  const [stream, other] = duplexPair();
  const asked = (async () => {
    const peer = nbdPeer(other);
    await greet(peer);
    return untilTls(peer);
  })();
  const flags = Buffer.from([0, 0, 0, 3]);
  const go = Buffer.concat([
    Buffer.from('IHAVEOPT'),
    Buffer.from([0, 0, 0, 7, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0]),
  ]);
  stream.write(Buffer.concat([flags, go]));
  stream.end(Buffer.concat([Buffer.from('IHAVEOPT'), Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 65])]));
  expect(await asked).toBe(false);
  other.end();
  const said = Buffer.concat(await stream.toArray());
  expect(said.includes(Buffer.from([0x80, 0, 0, 5]))).toBe(true);
});

test('bytes of no sense end the connection, wherever they come', async () => {
  const beginning = Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from('IHAVEOPT')]);
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.uint8Array({ maxLength: 400 }), async (isGood, bytes) => {
      const { stream, ended } = served(memoryDisk(BigInt(MIB)));
      stream.resume();
      stream.on('error', () => {});
      stream.end(Buffer.concat([isGood ? beginning : Buffer.alloc(0), bytes]));
      await ended;
    }),
    { numRuns: 200 },
  );
});

test('whoever names another disk is told why, unless he would take the reason for the disk', async () => {
  const named = (name: string): Buffer => Buffer.from([0, 0, 0, name.length, ...Buffer.from(name)]);
  const asking = (option: number, data: Buffer): Buffer =>
    Buffer.concat([Buffer.from('IHAVEOPT'), Buffer.from([0, 0, 0, option, 0, 0, 0, data.length]), data]);
  const [exportName, info, go] = [1, 6, 7] as const;
  const about = Buffer.concat([named('disk'), Buffer.alloc(2)]);
  const heard = async (...asked: readonly Buffer[]): Promise<Buffer> => {
    const { stream, ended } = served(memoryDisk(BigInt(MIB)));
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 3]), asking(info, about), ...asked]));
    await ended;
    return Buffer.concat(await stream.toArray());
  };
  const nothing = await heard();
  const reason = await heard(asking(go, Buffer.concat([named('other'), Buffer.alloc(2)])));
  expect(reason.toString('latin1', nothing.length)).toContain('One connection has one disk');
  expect(await heard(asking(exportName, Buffer.from('other')))).toEqual(nothing);
});
