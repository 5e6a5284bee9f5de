// A suspended guest on storage: one block that says what follows, then what QEMU streams when it
// migrates a guest. The block is written last, so that whatever has one is whole.

import type { Duplex } from 'node:stream';
import type { Disk, OpenFile } from '../../../drivers/disk.ts';
import { jsonIn, membersOf } from '../../../std/reader.ts';
import { notSupported } from '../refusal.ts';
import { type Origin, originOf, type originSaid } from './origin.ts';
import { written } from './transfer.ts';

/** The guest fits only the machine it was saved from. */
export interface ImageHeader extends Origin {
  readonly lengthBytes: number;
}

const MAGIC = 'Xenact QEMU guest';
const FORMAT = 1;
const HEADER_BYTES = 64 * 1024;
const CHUNK_BYTES = 1024 * 1024;

/** Copies the stream to storage until it ends; `header` completes the image and is called after that. */
export const writeImage = async (
  disk: Disk,
  path: string,
): Promise<{
  readonly copy: (stream: Duplex) => Promise<void>;
  readonly finish: (about: ReturnType<typeof originSaid>) => Promise<void>;
  readonly close: () => Promise<void>;
}> => {
  const file = await disk.open(path, 'write');
  let lengthBytes = 0;
  return {
    copy: async (stream) => {
      // An image that was there before must not be taken for this one.
      await file.write(new Uint8Array(HEADER_BYTES), 0n);
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        await file.write(chunk, BigInt(HEADER_BYTES + lengthBytes));
        lengthBytes += chunk.length;
      }
    },
    finish: async (about) => {
      await file.sync();
      await file.write(headerBlock({ ...about, lengthBytes }), 0n);
      await file.sync();
    },
    close: () => file.close(),
  };
};

export interface ImageReader {
  readonly header: ImageHeader;
  /** Writes the saved state into the stream. */
  send(stream: Duplex, signal: AbortSignal, progress: (fraction: number) => void): Promise<void>;
  close(): Promise<void>;
}

export const readImage = async (disk: Disk, path: string): Promise<ImageReader> => {
  const file = await disk.open(path, 'read');
  try {
    const header = await readHeader(file, path);
    return {
      header,
      send: (stream, signal, progress) => sendState(file, header.lengthBytes, stream, signal, progress),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
};

const sendState = async (
  file: OpenFile,
  lengthBytes: number,
  stream: Duplex,
  signal: AbortSignal,
  progress: (fraction: number) => void,
): Promise<void> => {
  for (let done = 0; done < lengthBytes; ) {
    signal.throwIfAborted();
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, lengthBytes - done));
    const count = await file.read(chunk, BigInt(HEADER_BYTES + done));
    if (count < chunk.length) throw new Error('the saved guest is cut short');
    await written(stream, chunk);
    done += count;
    progress(done / lengthBytes);
  }
};

const headerBlock = (
  header: ReturnType<typeof originSaid> & Pick<ImageHeader, 'lengthBytes'>,
): Uint8Array => {
  const block = Buffer.alloc(HEADER_BYTES);
  const text = JSON.stringify({ is: MAGIC, format: FORMAT, ...header });
  if (Buffer.byteLength(text) > HEADER_BYTES)
    throw notSupported('VBDs', header.devices.length, 'a guest with so many devices cannot be suspended');
  block.write(text, 'utf8');
  return block;
};

const readHeader = async (file: OpenFile, path: string): Promise<ImageHeader> => {
  const block = Buffer.alloc(HEADER_BYTES);
  const count = await file.read(block, 0n);
  const end = block.indexOf(0);
  const header = membersOf(jsonIn(block.toString('utf8', 0, end < 0 ? count : Math.min(end, count))));
  if (header['is'] !== MAGIC) throw new Error(`${path} holds no suspended guest`);
  if (header['format'] !== FORMAT) throw new Error(`${path} was written by another version of this program`);
  const { lengthBytes } = header;
  if (!Number.isSafeInteger(lengthBytes)) {
    throw new Error(`${path} holds a suspended guest whose description is damaged`);
  }
  return { ...originOf(header), lengthBytes: lengthBytes as number };
};
