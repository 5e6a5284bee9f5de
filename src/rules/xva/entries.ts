import { ImageRefused } from '../../codec/image-refused.ts';
import { readPax, readTarHead, TAR_BLOCK_BYTES, tarPadding } from '../../codec/tar.ts';
import type { ImageBytes } from '../images/image-bytes.ts';

export interface TarEntry {
  readonly name: string;
  readonly sizeBytes: number;
}

/** Where so many bytes may be put. */
type Memory = (lengthBytes: number) => Promise<Buffer>;

/** The files of an archive as they arrive. Nothing of it ever becomes a path. */
export interface TarEntries {
  /** The one that comes next, undefined at the end. Asked again before it is taken, it is the same. */
  peek(): Promise<TarEntry | undefined>;
  /** The bytes of the one that comes next, which has at most so many, in memory that is given for them. */
  take(bytesMax: number, memory?: Memory): Promise<Buffer>;
}

/** Of what is said about an entry. */
const ATTRIBUTES_BYTES_MAX = 65_536;
/** Heads without a file between two files. */
const HEADS_MAX = 1_000;

export const tarEntries = (bytes: ImageBytes): TarEntries => {
  /** Where the next head is. */
  let end = 0;
  let ahead: { readonly entry: TarEntry | undefined } | undefined;
  const content = async (
    sizeBytes: number,
    bytesMax: number,
    what: string,
    memory: Memory = async (lengthBytes) => Buffer.allocUnsafe(lengthBytes),
  ): Promise<Buffer> => {
    if (sizeBytes > bytesMax)
      throw new ImageRefused(`${what} has ${sizeBytes} bytes; at most ${bytesMax} are taken`);
    const into = await memory(sizeBytes);
    await bytes.fillAll(into);
    return into;
  };
  const read = async (): Promise<TarEntry | undefined> => {
    let [name, size]: [string | undefined, number | undefined] = [undefined, undefined];
    for (let heads = 0; heads < HEADS_MAX; heads += 1) {
      await bytes.skipTo(end);
      const head = readTarHead(await bytes.exactly(TAR_BLOCK_BYTES));
      if (head === undefined) return undefined;
      const sizeBytes = head.kind === 'file' ? (size ?? head.sizeBytes) : head.sizeBytes;
      end = bytes.position + sizeBytes + tarPadding(sizeBytes);
      if (head.kind === 'file') return { name: name ?? head.name, sizeBytes };
      if (head.kind === 'other') continue;
      const said = await content(sizeBytes, ATTRIBUTES_BYTES_MAX, 'What is said of an entry');
      if (head.kind === 'name') name = said.toString('utf8').replace(/\0+$/, '');
      else {
        const { path, size: given } = readPax(said);
        [name, size] = [path ?? name, given ?? size];
      }
    }
    throw new ImageRefused('The archive cannot be read: it has heads and no files');
  };
  const peek = async (): Promise<TarEntry | undefined> => {
    ahead ??= { entry: await read() };
    return ahead.entry;
  };
  return {
    peek,
    take: async (bytesMax, memory) => {
      const entry = await peek();
      if (entry === undefined) throw new ImageRefused('The archive ends where there should be more', true);
      ahead = undefined;
      return content(entry.sizeBytes, bytesMax, entry.name, memory);
    },
  };
};
