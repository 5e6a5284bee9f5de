import { type NbdWire, protocolError, refusal } from './nbd-wire.ts';

// Replies of NBD in parts, in which a server says zeros without sending them.

const SIMPLE_REPLY = 0x67446698;
const PART = 0x668e33ef;
const DONE = 1;
const part = { none: 0, data: 1, hole: 2, status: 5, error: 0x8001, errorAt: 0x8002 } as const;
const PARTS_MAX = 4_096;
/** Of what is not data: extents, or the text of an error. */
const WORDS_BYTES_MAX = 2 * 1024 * 1024;

export interface Awaited {
  /** Where the data begin, and how many. */
  readonly position: bigint;
  readonly wanted: number;
}

/** Answers the data, or what the server says of extents. */
export const readParts = async (wire: NbdWire, handle: bigint, awaited: Awaited): Promise<Buffer> => {
  const data = Buffer.allocUnsafe(awaited.wanted);
  let words: Buffer = Buffer.alloc(0);
  let got = 0;
  let failed: Error | undefined;
  for (let parts = 0; parts < PARTS_MAX; parts += 1) {
    const magic = (await wire.take(4)).readUInt32BE();
    const head = await wire.take(magic === SIMPLE_REPLY ? 12 : 16);
    if (magic === SIMPLE_REPLY) {
      if (head.readBigUInt64BE(4) !== handle || awaited.wanted > 0) throw strange();
      if (head.readUInt32BE(0) !== 0) throw refusal(head.readUInt32BE(0));
      return data;
    }
    const [flags, type, length] = [head.readUInt16BE(0), head.readUInt16BE(2), head.readUInt32BE(12)];
    if (magic !== PART || head.readBigUInt64BE(4) !== handle) throw strange();
    if (type === part.data || type === part.hole)
      got += await readPiece(wire, type, length, { ...awaited, data });
    else {
      if (length > WORDS_BYTES_MAX) throw strange();
      const body = await wire.take(length);
      if (type === part.status) words = body;
      else if (type === part.error || type === part.errorAt) failed = refusal(body.readUInt32BE(0));
      else if (type !== part.none) throw strange();
    }
    if ((flags & DONE) === 0) continue;
    if (failed !== undefined) throw failed;
    if (got !== awaited.wanted) throw strange();
    return awaited.wanted > 0 ? data : words;
  }
  throw strange();
};

/** Puts a part of the data in its place; answers how much it is. */
const readPiece = async (
  wire: NbdWire,
  type: number,
  length: number,
  { position, data }: Awaited & { readonly data: Buffer },
): Promise<number> => {
  if (length < 8 || (type === part.hole && length !== 12)) throw strange();
  const from = Number((await wire.take(8)).readBigUInt64BE() - position);
  const count = type === part.hole ? (await wire.take(4)).readUInt32BE() : length - 8;
  if (from < 0 || from + count > data.length) throw strange();
  if (type === part.hole) data.fill(0, from, from + count);
  else data.set(await wire.take(count), from);
  return count;
};

const strange = (): Error => protocolError('the answer is to another request');
