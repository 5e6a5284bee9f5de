import type { Duplex } from 'node:stream';
import type { Extent } from '../drivers/storage/storage.ts';
import { MeshFailure } from '../mesh/failure.ts';
import { nullRef, type Ref } from '../model/types.ts';
import type { DiskWanted, OpenDisk } from '../objects/disk.ts';
import { faultOf } from '../objects/driver-faults.ts';
import { type Here, openDiskHere } from '../rules/open-disk.ts';
import { lesser } from '../std/bigints.ts';
import { Fault } from '../std/fault.ts';
import { inTurns } from '../std/in-turns.ts';
import { byteReader } from './byte-reader.ts';
import type { PoolContext } from './context.ts';
import { fieldsOf, listOf, ProtocolError, saidOf, textOf } from './protocol.ts';
import { sent } from './sent.ts';

// The bytes of a disk that another host has, over a stream of the mesh: a request, then its answer, one at a
// time. A request is what to do, where and how long, and the bytes to write. An answer is whether it was
// done, how long it is, and the bytes read or the fault.

const streamName = 'disk';
const openMs = 60_000;
/** One request reads or writes at most this much. */
export const pieceBytesMax = 4 * 1024 * 1024;
/** Disks that other hosts have open here. */
export const disksOpenMax = 64;
const faultBytesMax = 65_536;

const headBytes = 13;
const answerBytes = 5;
const codes = { read: 1, write: 2, flush: 3, close: 4, extents: 5 } as const;
/** One answer tells of at most so many. */
const extentsMax = 4_096;
const extentBytes = 9;
type Operation = keyof typeof codes;

const head = (operation: Operation, position: bigint, length: number): Buffer => {
  const bytes = Buffer.alloc(headBytes);
  bytes.writeUInt8(codes[operation], 0);
  bytes.writeBigUInt64BE(position, 1);
  bytes.writeUInt32BE(length, 9);
  return bytes;
};

const answered = (done: boolean, bytes: Uint8Array): Buffer => {
  const start = Buffer.alloc(answerBytes);
  start.writeUInt8(done ? 0 : 1, 0);
  start.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([start, bytes]);
};

const number = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};

/** Its size, and whether it can tell where there are zeros: hosts of before know the size alone. */
const described = ({ sizeBytes, extents }: OpenDisk): Buffer =>
  Buffer.concat([number(sizeBytes), Buffer.from([extents === undefined ? 0 : 1])]);

const extentsSaid = (extents: readonly Extent[]): Buffer =>
  Buffer.concat(
    extents
      .slice(0, extentsMax)
      .flatMap(({ lengthBytes, zero }) => [number(lengthBytes), Buffer.from([zero ? 1 : 0])]),
  );

const extentsHeard = (bytes: Buffer): readonly Extent[] => {
  const heard: Extent[] = [];
  for (let at = 0; at + extentBytes <= bytes.length; at += extentBytes) {
    heard.push({ lengthBytes: bytes.readBigUInt64BE(at), zero: bytes[at + 8] === 1 });
  }
  if (heard.length === 0 || heard.some(({ lengthBytes }) => lengthBytes === 0n)) {
    throw new ProtocolError('The answer does not tell of any extent');
  }
  return heard;
};

/** A disk on another host. */
export const openDiskOn = async (
  { mesh, isUp }: PoolContext,
  host: Ref<'host'>,
  { vdi, how, operation }: DiskWanted,
  signal: AbortSignal,
): Promise<OpenDisk> => {
  if (!isUp(host)) throw new Fault('HOST_OFFLINE', [host]);
  const lost = (error: unknown): unknown =>
    error instanceof MeshFailure || !(error instanceof Fault)
      ? new Fault('CANNOT_CONTACT_HOST', [host])
      : error;
  let far: Duplex;
  try {
    far = await mesh.open(host, streamName, { vdi, how, operation }, { timeoutMs: openMs });
  } catch (error) {
    throw lost(error);
  }
  const { ask, answer } = asker(far, lost);
  /** When the signal aborts, the stream is cut, which ends the request at the other host too. */
  const unlessGivenUp = async (run: () => Promise<Buffer>): Promise<Buffer> => {
    const give = (): unknown => far.destroy();
    signal.addEventListener('abort', give, { once: true });
    try {
      return await run();
    } catch (error) {
      throw signal.aborted ? signal.reason : lost(error);
    } finally {
      signal.removeEventListener('abort', give);
    }
  };
  const opened = async (): Promise<Buffer> => {
    try {
      signal.throwIfAborted();
      return await unlessGivenUp(answer);
    } catch (error) {
      far.destroy();
      throw error;
    }
  };
  const about = await opened();
  return {
    sizeBytes: about.readBigUInt64BE(),
    read: async (into, position) => {
      let count = 0;
      while (count < into.length) {
        const asked = Math.min(into.length - count, pieceBytesMax);
        const bytes = await ask('read', position + BigInt(count), asked);
        into.set(bytes, count);
        count += bytes.length;
        if (bytes.length < asked) break;
      }
      return count;
    },
    write: async (from, position) => {
      for (let at = 0; at < from.length; at += pieceBytesMax) {
        const piece = from.subarray(at, at + pieceBytesMax);
        await ask('write', position + BigInt(at), piece.length, piece);
      }
    },
    flush: async () => void (await ask('flush', 0n, 0)),
    close: async () => {
      try {
        return (await unlessGivenUp(() => ask('close', 0n, 0))).readBigUInt64BE();
      } finally {
        far.destroy();
      }
    },
    ...(about[8] === 1 && {
      extents: async (position: bigint, lengthBytes: bigint) =>
        extentsHeard(await ask('extents', position, lengthAsked(lengthBytes))),
    }),
  };
};

/** Requests go out one after the other, and answers come in the same order. */
const asker = (far: Duplex, lost: (error: unknown) => unknown) => {
  const reader = byteReader(far);
  const [saying, hearing] = [inTurns(), inTurns()];

  const answer = async (): Promise<Buffer> => {
    const start = await reader.exactly(answerBytes);
    const [failed, length] = [start.readUInt8(0) !== 0, start.readUInt32BE(1)];
    if (length > (failed ? faultBytesMax : pieceBytesMax)) throw new ProtocolError('The answer is too long');
    const bytes = await reader.exactly(length);
    if (!failed) return bytes;
    const [code = 'INTERNAL_ERROR', ...params] = listOf(saidOf(bytes)).map(textOf);
    throw Fault.foreign(code, params);
  };

  const ask = async (
    what: Operation,
    position: bigint,
    length: number,
    bytes?: Uint8Array,
  ): Promise<Buffer> => {
    const said = saying(async () => {
      await sent(far, head(what, position, length));
      if (bytes !== undefined && bytes.length > 0) await sent(far, bytes);
    });
    const heard = hearing(answer);
    try {
      const [, found] = await Promise.all([said, heard]);
      return found;
    } catch (error) {
      if (!(error instanceof Fault)) far.destroy();
      throw lost(error);
    }
  };
  return { ask, answer };
};

const lengthAsked = (lengthBytes: bigint): number => Number(lesser(lengthBytes, 1n << 30n));

/** Lets other hosts have the bytes of disks that this host reaches. */
export const serveDisks = (context: PoolContext, here: Here): (() => void) => {
  let open = 0;
  return context.mesh.serveStream(streamName, (payload) => {
    const fields = fieldsOf(payload);
    const how = textOf(fields['how']);
    if (how !== 'read' && how !== 'write') throw new ProtocolError(`A disk is not opened to ${how}`);
    if (open >= disksOpenMax) throw new Fault('TOO_MANY_PENDING_TASKS');
    const wanted = { vdi: textOf(fields['vdi']) as Ref<'VDI'>, how, operation: 'copy' } as const;
    open += 1;
    return (far) => {
      serve(far, here, wanted)
        .catch((error: unknown) =>
          context.log.info({ error, vdi: wanted.vdi }, 'A disk of another host was cut'),
        )
        .finally(() => {
          open -= 1;
          far.destroy();
        });
    };
  });
};

const serve = async (far: Duplex, here: Here, wanted: DiskWanted): Promise<void> => {
  const gone = new AbortController();
  far.once('close', () => gone.abort(new Fault('TASK_CANCELLED', [])));
  const told = async (run: () => Promise<Uint8Array>): Promise<void> => {
    let answer: Buffer;
    try {
      answer = answered(true, await run());
    } catch (error) {
      const about = { ref: wanted.vdi, task: nullRef, vmOf: (uuid: string) => uuid };
      const { code, params } = faultOf(error, about);
      answer = answered(false, Buffer.from(JSON.stringify([code, ...params])));
    }
    await sent(far, answer);
  };
  let disk: OpenDisk | undefined;
  try {
    await told(async () => {
      disk = await openDiskHere(here, wanted, gone.signal);
      return described(disk);
    });
    if (disk === undefined) return;
    await obey(far, disk, told);
    disk = undefined;
  } finally {
    await disk?.close();
  }
};

/** Until the other side has closed the disk. */
const obey = async (
  far: Duplex,
  disk: OpenDisk,
  told: (run: () => Promise<Uint8Array>) => Promise<void>,
): Promise<void> => {
  const reader = byteReader(far);
  for (;;) {
    const start = await reader.exactly(headBytes);
    const [what, position, length] = [start.readUInt8(0), start.readBigUInt64BE(1), start.readUInt32BE(9)];
    if (what === codes.extents && disk.extents !== undefined) {
      const { extents } = disk;
      await told(async () => extentsSaid(await extents(position, BigInt(length))));
      continue;
    }
    if (length > pieceBytesMax) throw new ProtocolError(`A piece of ${length} bytes is too long`);
    if (what === codes.close) return told(async () => number(await disk.close()));
    if (what === codes.write) {
      const bytes = await reader.exactly(length);
      await told(async () => {
        await disk.write(bytes, position);
        return Buffer.alloc(0);
      });
    } else if (what === codes.read) {
      await told(async () => {
        const into = Buffer.alloc(length);
        return into.subarray(0, await disk.read(into, position));
      });
    } else if (what === codes.flush) {
      await told(async () => {
        await disk.flush();
        return Buffer.alloc(0);
      });
    } else throw new ProtocolError(`Nobody asks ${what} of a disk`);
  }
};
