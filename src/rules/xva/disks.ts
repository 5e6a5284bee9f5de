import { ImageRefused } from '../../codec/image-refused.ts';
import { tarFilling, tarHead } from '../../codec/tar.ts';
import { readXmlRpcValue } from '../../codec/xmlrpc-reader.ts';
import {
  blockName,
  blockNumber,
  blockSum,
  type SumExtension,
  sumExtensions,
  XVA_BLOCK_BYTES,
  xvaPlaces,
} from '../../codec/xva.ts';
import type { OpenVolume } from '../../drivers/storage/storage.ts';
import { greater, lesser } from '../../std/bigints.ts';
import { Fault } from '../../std/fault.ts';
import { structOf } from '../../std/reader.ts';
import { filledOf, type Stretch } from '../images/filled.ts';
import { writeWithin } from '../images/image.ts';
import { readAhead, writeBehind } from '../images/pieces.ts';
import type { TarEntries } from './entries.ts';

/** How far it has come on a disk, in bytes. */
type Tell = (position: bigint) => void;

const BLOCK = BigInt(XVA_BLOCK_BYTES);
const zeros = Buffer.alloc(XVA_BLOCK_BYTES);
const isZero = (bytes: Buffer): boolean => {
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length);
    if (!part.equals(zeros.subarray(0, part.length))) return false;
  }
  return true;
};

/** One small file of the archive. */
export const tarFile = (name: string, bytes: Buffer): Buffer =>
  Buffer.concat([tarHead(name, bytes.length), bytes, tarFilling(bytes.length)]);

/** A file of pieces that are made twice: once to know how large it is. */
export async function* tarText(
  name: string,
  pieces: () => Iterable<string>,
  modified: number,
  rest: () => Promise<void>,
): AsyncGenerator<Buffer> {
  let sizeBytes = 0;
  let rested = 0;
  for (const piece of pieces()) {
    sizeBytes += Buffer.byteLength(piece);
    if (sizeBytes - rested < XVA_BLOCK_BYTES) continue;
    rested = sizeBytes;
    await rest();
  }
  yield tarHead(name, sizeBytes, modified);
  for (const piece of pieces()) yield Buffer.from(piece);
  yield tarFilling(sizeBytes);
}

export interface GivenDisk {
  readonly id: string;
  readonly disk: OpenVolume;
  readonly tell: Tell;
  readonly signal: AbortSignal;
}

/**
 * Disks as the blocks that have something, and the first and the last. A piece is good until the next one is
 * asked for. Where the first disk is smaller than a block nothing is left out, as readers take that block for
 * the measure of what is.
 */
export const disksGiven = () => {
  let unit: bigint | undefined;
  return async function* ({ id, disk, tell, signal }: GivenDisk): AsyncGenerator<Buffer> {
    const { sizeBytes } = disk;
    if (sizeBytes === 0n) return;
    unit ??= lesser(sizeBytes, BLOCK);
    const isDense = unit < BLOCK;
    const blocks = isDense ? [{ position: 0n, lengthBytes: sizeBytes }] : blocksOf(disk);
    for await (const { position, bytes } of readAhead(disk, blocks, XVA_BLOCK_BYTES)) {
      signal.throwIfAborted();
      tell(position);
      const isAtEnd = position === 0n || position + BLOCK >= sizeBytes;
      if (!isDense && !isAtEnd && isZero(bytes)) continue;
      const name = blockName(id, Number(position / BLOCK));
      const sum = tarFile(`${name}.xxhash`, Buffer.from(await blockSum('.xxhash', bytes)));
      yield tarHead(name, bytes.length);
      yield bytes;
      yield bytes.length === XVA_BLOCK_BYTES ? sum : Buffer.concat([tarFilling(bytes.length), sum]);
    }
    tell(sizeBytes);
  };
};

/** The blocks that may have something, and those at both ends, ascending. */
async function* blocksOf(disk: OpenVolume): AsyncGenerator<Stretch> {
  const { sizeBytes } = disk;
  let next = 0n;
  const wholes = function* ({ position, lengthBytes }: Stretch): Generator<Stretch> {
    const from = greater(next, position - (position % BLOCK));
    const end = position + lengthBytes + BLOCK - 1n;
    next = greater(next, lesser(end - (end % BLOCK), sizeBytes));
    if (from < next) yield { position: from, lengthBytes: next - from };
  };
  yield* wholes({ position: 0n, lengthBytes: 1n });
  for await (const stretch of filledOf([disk], sizeBytes)) yield* wholes(stretch);
  yield* wholes({ position: sizeBytes - 1n, lengthBytes: 1n });
}

/** A block of another writer is held in memory as a whole. */
const BLOCK_BYTES_MAX = 16 * 1024 * 1024;
/** More than any sum has. */
const SUM_BYTES_MAX = 100;
/** Sums that are compared only at the end, 100 bytes of memory each: of disks of 256 GiB. */
const LATE_SUMS_MAX = 1 << 18;
/** Of the table of them. */
const TABLE_BYTES_MAX = 64 * 1024 * 1024;

export interface TakenDisk {
  readonly id: string;
  /** As `ova.xml` says it. */
  readonly sizeBytes: bigint;
  readonly disk: OpenVolume;
  readonly tell: Tell;
  readonly signal: AbortSignal;
}

export interface Taking {
  readonly entries: TarEntries;
  /** Each block has its sum behind it, which counts. Else sums come at the end of the file. */
  readonly inline: boolean;
  /** Sums are not looked at. */
  readonly force: boolean;
  /** The disks are zeros, and zeros are not written to them. */
  readonly isBlank: boolean;
}

export interface DisksTaken {
  /** Fills a disk. Throws `ImageRefused` and `DiskTooSmall`. */
  take(taken: TakenDisk): Promise<void>;
  /** After the last disk: the sums that come at the end, where they do. Throws SOME_CHECKSUMS_FAILED. */
  compareSums(): Promise<void>;
}

export const disksTaken = ({ entries, inline, force, isBlank }: Taking): DisksTaken => {
  const sums = new Map<string, string>();
  let unit: number | undefined;
  const checkSum = async (name: string, bytes: Buffer): Promise<void> => {
    const kind = await sumNext(entries, name);
    if (kind === undefined) {
      if (inline) throw invalid(`the sum of ${name} is missing, or of a kind that is not known`);
    } else {
      const said = (await entries.take(SUM_BYTES_MAX)).toString('latin1');
      const found = inline && !force ? await blockSum(kind, bytes) : said;
      if (said !== found) throw invalid(`${name} has the sum ${found} and not ${said}: send it again`);
    }
    if (inline || force) return;
    if (sums.size >= LATE_SUMS_MAX) throw invalid('it has too many blocks whose sums come at its end');
    sums.set(name, await blockSum('.checksum', bytes));
  };
  return {
    compareSums: async () => {
      if (inline || force) return;
      const table = structOf(
        readXmlRpcValue((await entries.take(TABLE_BYTES_MAX)).toString('utf8')),
        'the sums',
      );
      for (const [name, sum] of sums) {
        if (table.get(name) !== sum) throw new Fault('IMPORT_ERROR_SOME_CHECKSUMS_FAILED');
      }
    },
    take: ({ id, sizeBytes, disk, tell, signal }) =>
      writeBehind(async ({ piece, write }) => {
        let places: ReturnType<typeof xvaPlaces> | undefined;
        while ((places?.position ?? 0n) < sizeBytes) {
          const entry = await entries.peek();
          if (entry === undefined) throw invalid(`it ends before the last block of ${id}`);
          const number = blockNumber(id, entry.name);
          if (number === undefined) throw invalid(`${entry.name} stands where a block of ${id} should be`);
          unit ??= entry.sizeBytes;
          places ??= xvaPlaces(unit);
          const position = places.next(number, entry.sizeBytes);
          if (position === undefined) throw invalid(`${entry.name} is behind a block with a higher number`);
          const bytes = await entries.take(BLOCK_BYTES_MAX, piece);
          signal.throwIfAborted();
          await checkSum(entry.name, bytes);
          if (!isBlank || !isZero(bytes)) write(() => writeWithin(disk, bytes, position));
          tell(places.position);
        }
      }),
  };
};

const sumNext = async (entries: TarEntries, name: string): Promise<SumExtension | undefined> => {
  const next = (await entries.peek())?.name;
  return sumExtensions.find((extension) => next === name + extension);
};

const invalid = (why: string): ImageRefused => new ImageRefused(`Invalid XVA file: ${why}`);
