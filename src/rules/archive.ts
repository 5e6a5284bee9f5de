import { tarEnd, tarFilling, tarHead } from '../codec/tar.ts';
import type { HostFile } from '../drivers/host-files.ts';

export async function* archived(files: AsyncIterable<HostFile>, nowMs: number): AsyncGenerator<Uint8Array> {
  for await (const { name, bytes } of files) {
    yield tarHead(name, bytes.length, Math.floor(nowMs / 1_000));
    if (bytes.length > 0) yield bytes;
    const filling = tarFilling(bytes.length);
    if (filling.length > 0) yield filling;
  }
  yield tarEnd();
}

/** Bytes of one file of what is given in several. */
export const fileBytesMax = 1_048_576;

/** What comes in pieces, as files `<name>-0`, `<name>-1` and so on. */
export async function* filesOf(
  name: string,
  suffix: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<HostFile> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let number = 0;
  const file = (): HostFile => ({ name: `${name}-${number++}${suffix}`, bytes: Buffer.concat(waiting) });
  for await (const piece of pieces) {
    if (waitingBytes > 0 && waitingBytes + piece.length > fileBytesMax) {
      yield file();
      [waiting, waitingBytes] = [[], 0];
    }
    waiting.push(piece);
    waitingBytes += piece.length;
  }
  if (waitingBytes > 0) yield file();
}
