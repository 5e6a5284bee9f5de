import type { OpenVolume } from '../../drivers/storage/storage.ts';
import { lesser } from '../../std/bigints.ts';
import { ALLOCATION_ID, describe, type NamedExport, optionError, turnAway, untilNamed } from './options.ts';
import type { NbdPeer } from './peer.ts';

// The second half of NBD: one disk, for reading, one request after the other.

const REQUEST = 0x25609513;
const SIMPLE_REPLY = 0x67446698;
const CHUNK = 0x668e33ef;
const DONE = 1;
const command = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, zero: 6, blockStatus: 7 } as const;
const chunk = { none: 0, data: 1, status: 5, error: 0x8001 } as const;
const errors = { notPermitted: 1, io: 5, invalid: 22 } as const;
/** Flags are said, it is read only, it can be flushed, and several connections see the same. */
const FLAGS = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 8);
const ONE_EXTENT = 1 << 3;

const READ_BYTES_MAX = 32 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;
const EXTENTS_MAX = 4_096;
const HOLE_OF_ZEROS = 0b11;

interface Request {
  readonly flags: number;
  readonly type: number;
  readonly cookie: bigint;
  readonly position: bigint;
  readonly length: number;
}

/** Serves a client that has named the disk, until it goes. */
export const serveDisk = async (
  peer: NbdPeer,
  disk: OpenVolume,
  first: Pick<NamedExport, 'option' | 'agreed'>,
  isName: (name: string) => boolean,
): Promise<void> => {
  const about = { sizeBytes: disk.sizeBytes, flags: FLAGS };
  let wanted = first;
  while (!(await describe(peer, wanted, about))) {
    const next = await untilNamed(peer, wanted.agreed);
    if (next === undefined) return;
    if (!isName(next.name)) {
      return turnAway(peer, next, optionError.policy, 'One connection has one disk');
    }
    wanted = next;
  }
  const { structured, allocation } = wanted.agreed;
  const to = repliesTo(peer, structured);
  const extents = allocation ? (disk.extents ?? allData) : undefined;
  for (;;) {
    const request = await nextRequest(peer);
    if (request === undefined || request.type === command.disconnect) return;
    if (!(await serve(to, request, { disk, extents }))) return;
  }
};

/** Of storage that cannot tell, all may be data. */
const allData: NonNullable<OpenVolume['extents']> = async (_, lengthBytes) => [{ lengthBytes, zero: false }];

const nextRequest = async (peer: NbdPeer): Promise<Request | undefined> => {
  const head = await peer.take(28);
  if (head === undefined || head.readUInt32BE(0) !== REQUEST) return undefined;
  return {
    flags: head.readUInt16BE(4),
    type: head.readUInt16BE(6),
    cookie: head.readBigUInt64BE(8),
    position: head.readBigUInt64BE(16),
    length: head.readUInt32BE(24),
  };
};

interface Served {
  readonly disk: OpenVolume;
  readonly extents: OpenVolume['extents'];
}

/** False: the client is gone, or what it sends next could not be told from data. */
const serve = async (to: Replies, request: Request, { disk, extents }: Served): Promise<boolean> => {
  const { type, position, length } = request;
  const isWithin = length > 0 && position + BigInt(length) <= disk.sizeBytes;
  if (type === command.flush) return to.done(request);
  if (type === command.read && isWithin && length <= READ_BYTES_MAX) return read(to, request, disk);
  if (type === command.blockStatus && isWithin && extents !== undefined) return tell(to, request, extents);
  // Its data follow, which nobody reads.
  if (type === command.write) return false;
  const isChange = type === command.trim || type === command.zero;
  return to.failed(request, isChange ? errors.notPermitted : errors.invalid);
};

const read = async (to: Replies, request: Request, disk: OpenVolume): Promise<boolean> => {
  const bytes = Buffer.alloc(Math.min(PIECE_BYTES, request.length));
  for (let from = 0; from < request.length; from += PIECE_BYTES) {
    const piece = bytes.subarray(0, Math.min(PIECE_BYTES, request.length - from));
    const position = request.position + BigInt(from);
    try {
      piece.fill(0, await disk.read(piece, position));
    } catch {
      // Where data were promised, only the end of the connection tells.
      return from > 0 && !to.inChunks ? false : to.failed(request, errors.io);
    }
    // The stream keeps what it is given until it is sent.
    if (!(await to.data(request, from, Buffer.from(piece)))) return false;
  }
  return true;
};

const tell = async (
  to: Replies,
  request: Request,
  extents: NonNullable<OpenVolume['extents']>,
): Promise<boolean> => {
  const words: number[] = [];
  const isFull = (): boolean =>
    words.length >= 2 * EXTENTS_MAX || ((request.flags & ONE_EXTENT) !== 0 && words.length >= 2);
  const end = request.position + BigInt(request.length);
  try {
    for (let at = request.position; at < end && !isFull(); ) {
      for (const { lengthBytes, zero } of await extents(at, end - at)) {
        if (at >= end || isFull()) break;
        const length = lesser(lengthBytes, end - at);
        words.push(Number(length), zero ? HOLE_OF_ZEROS : 0);
        at += length;
      }
    }
  } catch {
    return to.failed(request, errors.io);
  }
  const said = Buffer.alloc(4 + words.length * 4);
  said.writeUInt32BE(ALLOCATION_ID, 0);
  for (const [index, word] of words.entries()) said.writeUInt32BE(word, 4 + index * 4);
  return to.status(request, said);
};

/** Answers, whole or in chunks; each tells whether the client is still there. */
interface Replies {
  readonly inChunks: boolean;
  done(request: Request): Promise<boolean>;
  failed(request: Request, error: number): Promise<boolean>;
  data(request: Request, from: number, piece: Buffer): Promise<boolean>;
  status(request: Request, said: Buffer): Promise<boolean>;
}

const repliesTo = (peer: NbdPeer, inChunks: boolean): Replies => {
  const simple = ({ cookie }: Request, error: number): Buffer => {
    const head = Buffer.alloc(16);
    head.writeUInt32BE(SIMPLE_REPLY, 0);
    head.writeUInt32BE(error, 4);
    head.writeBigUInt64BE(cookie, 8);
    return head;
  };
  const chunkOf = (
    { cookie }: Request,
    type: number,
    isLast: boolean,
    ...parts: readonly Buffer[]
  ): Promise<boolean> => {
    const head = Buffer.alloc(20);
    head.writeUInt32BE(CHUNK, 0);
    head.writeUInt16BE(isLast ? DONE : 0, 4);
    head.writeUInt16BE(type, 6);
    head.writeBigUInt64BE(cookie, 8);
    head.writeUInt32BE(
      parts.reduce((sum, { length }) => sum + length, 0),
      16,
    );
    return peer.send(head, ...parts);
  };
  return {
    inChunks,
    done: (request) => (inChunks ? chunkOf(request, chunk.none, true) : peer.send(simple(request, 0))),
    failed: (request, error) => {
      if (!inChunks) return peer.send(simple(request, error));
      const said = Buffer.alloc(6);
      said.writeUInt32BE(error, 0);
      return chunkOf(request, chunk.error, true, said);
    },
    data: (request, from, piece) => {
      if (!inChunks) return from === 0 ? peer.send(simple(request, 0), piece) : peer.send(piece);
      const place = Buffer.alloc(8);
      place.writeBigUInt64BE(request.position + BigInt(from), 0);
      return chunkOf(request, chunk.data, from + piece.length === request.length, place, piece);
    },
    status: (request, said) => chunkOf(request, chunk.status, true, said),
  };
};
