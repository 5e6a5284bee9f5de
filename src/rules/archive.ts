import { tarEnd, tarHead, tarPadding } from '../codec/tar.ts';

export interface ArchiveEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** An archive of the entries; each is there as a whole, so whoever gives them keeps them small. */
export async function* archived(
  entries: AsyncIterable<ArchiveEntry> | Iterable<ArchiveEntry>,
  nowMs: number,
): AsyncGenerator<Uint8Array> {
  for await (const { name, bytes } of entries) {
    yield tarHead(name, bytes.length, Math.floor(nowMs / 1_000));
    if (bytes.length > 0) yield bytes;
    if (tarPadding(bytes.length) > 0) yield Buffer.alloc(tarPadding(bytes.length));
  }
  yield tarEnd();
}

/** Bytes of one entry of what is given in several. */
export const entryBytesMax = 1_048_576;

/** What comes in pieces, as entries `<name>-0`, `<name>-1` and so on. */
export async function* entriesOf(
  name: string,
  suffix: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<ArchiveEntry> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let number = 0;
  const entry = (): ArchiveEntry => ({ name: `${name}-${number++}${suffix}`, bytes: Buffer.concat(waiting) });
  for await (const piece of pieces) {
    if (waitingBytes > 0 && waitingBytes + piece.length > entryBytesMax) {
      yield entry();
      [waiting, waitingBytes] = [[], 0];
    }
    waiting.push(piece);
    waitingBytes += piece.length;
  }
  if (waitingBytes > 0) yield entry();
}
