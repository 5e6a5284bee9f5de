import { type NbdWire, protocolError, refusal } from './nbd-wire.ts';

// What a server of NBD answers, in any order. Replies may come in parts, in which a server says zeros without
// sending them, and between which may be parts of other replies.

const SIMPLE_REPLY = 0x67446698;
const PART = 0x668e33ef;
const DONE = 1;
const part = { none: 0, data: 1, hole: 2, status: 5, error: 0x8001, errorAt: 0x8002 } as const;
const PARTS_MAX = 4_096;
/** Of what is not data: extents, or the text of an error. */
const WORDS_BYTES_MAX = 2 * 1024 * 1024;

/** One request that was sent. */
export interface Awaited {
  readonly position: bigint;
  /** Where the data go, all of which must come. */
  readonly into: Uint8Array;
  /** With what the server says of extents. */
  readonly done: (words: Buffer) => void;
  readonly failed: (error: Error) => void;
  /** What came so far. */
  parts: number;
  got: number;
  words: Buffer;
  error: Error | undefined;
}

/** By their handles. */
export type AwaitedReplies = Map<bigint, Awaited>;

/** Reads one reply or a part of one, and ends its request when that is the last. */
export const readReply = async (wire: NbdWire, awaited: AwaitedReplies, inParts: boolean): Promise<void> => {
  const magic = (await wire.take(4)).readUInt32BE();
  if (magic === SIMPLE_REPLY) return readSimple(wire, awaited, inParts);
  if (magic !== PART || !inParts) throw strange();
  const head = await wire.take(16);
  const handle = head.readBigUInt64BE(4);
  const one = awaited.get(handle);
  if (one === undefined || one.parts >= PARTS_MAX) throw strange();
  one.parts += 1;
  await readPart(wire, one, { type: head.readUInt16BE(2), length: head.readUInt32BE(12) });
  if ((head.readUInt16BE(0) & DONE) === 0) return;
  if (one.error === undefined && one.got !== one.into.length) throw strange();
  finish(awaited, handle, one);
};

const readSimple = async (wire: NbdWire, awaited: AwaitedReplies, inParts: boolean): Promise<void> => {
  const head = await wire.take(12);
  const [error, handle] = [head.readUInt32BE(0), head.readBigUInt64BE(4)];
  const one = awaited.get(handle);
  if (one === undefined || (inParts && one.into.length > 0)) throw strange();
  if (error !== 0) one.error = refusal(error);
  else await wire.fill(one.into);
  finish(awaited, handle, one);
};

const finish = (awaited: AwaitedReplies, handle: bigint, { error, words, done, failed }: Awaited): void => {
  awaited.delete(handle);
  if (error === undefined) done(words);
  else failed(error);
};

const readPart = async (
  wire: NbdWire,
  one: Awaited,
  { type, length }: { readonly type: number; readonly length: number },
): Promise<void> => {
  if (type === part.data || type === part.hole) {
    one.got += await readPiece(wire, type, length, one);
    return;
  }
  if (length > WORDS_BYTES_MAX) throw strange();
  const body = await wire.take(length);
  if (type === part.status) one.words = body;
  else if ((type === part.error || type === part.errorAt) && length >= 4) {
    one.error = refusal(body.readUInt32BE(0));
  } else if (type !== part.none) throw strange();
};

/** Puts a part of the data in its place; answers how much it is. */
const readPiece = async (
  wire: NbdWire,
  type: number,
  length: number,
  { position, into }: Awaited,
): Promise<number> => {
  if (length < 8 || (type === part.hole && length !== 12)) throw strange();
  const from = Number((await wire.take(8)).readBigUInt64BE() - position);
  const count = type === part.hole ? (await wire.take(4)).readUInt32BE() : length - 8;
  if (from < 0 || from + count > into.length) throw strange();
  if (type === part.hole) into.fill(0, from, from + count);
  else await wire.fill(into.subarray(from, from + count));
  return count;
};

const strange = (): Error => protocolError('the answer is to another request');
