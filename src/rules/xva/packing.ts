import { createGunzip, createGzip } from 'node:zlib';
import { ImageRefused } from '../../codec/image-refused.ts';
import { through } from '../../codec/through.ts';
import { packingOf, type XvaPacking } from '../../codec/xva.ts';
import { type Processes, ProcessFailure } from '../../drivers/processes.ts';

type Bytes = AsyncIterable<Uint8Array>;

/** zlib is Node's own; zstd is a program of the host. */
export interface Packer {
  readonly processes: Pick<Processes, 'pipe'> | undefined;
  readonly signal: AbortSignal;
}

/** Between speed and size, as other hosts pack. */
const gzipLevel = 1;
const zstdPacks = ['-q', '-c', '-1', '-T2'];
/** What a file may make the reader remember; zstd's own limit for streams of strangers. */
const zstdUnpacks = ['-q', '-d', '-c', '--memory=128MB'];

/** Anything that clients may say but these three means no packing. */
export const packingNamed = (word: string): XvaPacking => {
  if (word === 'true' || word === 'gzip') return 'gzip';
  return word === 'zstd' ? 'zstd' : 'none';
};

export const packed = (kind: XvaPacking, bytes: Bytes, packer: Packer): Bytes => {
  if (kind === 'zstd') return zstd(zstdPacks, bytes, packer);
  if (kind === 'none') return bytes;
  const gzip = createGzip({ level: gzipLevel });
  return through(bytes, gzip, gzip);
};

/** The bytes as they were before they were packed, which they say themselves. Throws `ImageRefused`. */
export async function* unpacked(bytes: Bytes, packer: Packer): AsyncGenerator<Uint8Array> {
  const pieces = bytes[Symbol.asyncIterator]();
  let start = Buffer.alloc(0);
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
    start = Buffer.concat([start, next.value]);
    if (start.length >= 4) break;
  }
  const all = again(start, pieces);
  const kind = packingOf(start);
  if (kind === 'none') yield* all;
  else yield* refusing(kind === 'gzip' ? gunzipped(all) : zstd(zstdUnpacks, all, packer));
}

async function* again(start: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (start.length > 0) yield start;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

const gunzipped = (bytes: Bytes): Bytes => {
  const gunzip = createGunzip();
  return through(bytes, gunzip, gunzip);
};

async function* zstd(args: readonly string[], bytes: Bytes, packer: Packer): AsyncGenerator<Uint8Array> {
  if (packer.processes === undefined) throw new NoZstd();
  try {
    yield* packer.processes.pipe('zstd', args, bytes, packer.signal);
  } catch (error) {
    if (!(error instanceof ProcessFailure && error.reason === 'not-started')) throw error;
    throw new NoZstd();
  }
}

export class NoZstd extends Error {
  constructor() {
    super('This host has no zstd: install the package zstd on it, or use gzip or no compression');
    this.name = 'NoZstd';
  }
}

/** What cannot be unpacked, as what is wrong with a file. */
async function* refusing(bytes: Bytes): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const isZstd = error instanceof ProcessFailure && error.reason === 'failed';
    if (!isZstd && !code.startsWith('Z_')) throw error;
    const ended = code === 'Z_BUF_ERROR' || /premature end|unexpected end/i.test(message);
    throw new ImageRefused(`The compressed file cannot be read: ${message}`, ended);
  }
}
