import type { OpenVolume } from '../../drivers/storage/storage.ts';
import type { Stretch } from './filled.ts';
import type { ImageBytes } from './image-bytes.ts';

/** A disk that a client has already. */
export interface Base {
  readonly uuid: string;
  readonly disk: OpenVolume;
  /** Outside of these the two are the same. Absent: that is not known. */
  readonly changed?: readonly Stretch[];
}

/** A disk that is given away as an image. */
export interface Given {
  readonly uuid: string;
  readonly disk: OpenVolume;
  /** What the client has already: only what differs is given. */
  readonly base?: Base;
  /** From 0 to 1. */
  readonly progress: (done: number) => void;
  readonly signal: AbortSignal;
  /** Called once, with how much there is where that is known before. */
  readonly begin: (lengthBytes?: bigint) => (chunk: Uint8Array) => Promise<void>;
}

/** A disk that is filled from an image. */
export interface Taken {
  readonly disk: OpenVolume;
  readonly bytes: ImageBytes;
  readonly progress: (done: number) => void;
  readonly signal: AbortSignal;
}

/** A format of disk images, as it goes over a wire. */
export interface TransferFormat {
  /** Of HTTP. */
  readonly type: string;
  /** Disks that are larger cannot be given in it. */
  readonly sizeBytesMax?: bigint;
  /** Whether an image can have changes alone. */
  readonly differs: boolean;
  give(given: Given): Promise<void>;
  /** What the image says nothing of stays as it is. Throws `ImageRefused` and `DiskTooSmall`. */
  take(taken: Taken): Promise<void>;
}

/** The image has more than the disk. */
export class DiskTooSmall extends Error {
  readonly neededBytes: bigint;

  constructor(neededBytes: bigint) {
    super(`The image has ${neededBytes} bytes, which is more than the disk has`);
    this.name = 'DiskTooSmall';
    this.neededBytes = neededBytes;
  }
}

/** Writes what is within the disk; behind its end there may be zeros, as formats round sizes up. */
export const writeWithin = async (disk: OpenVolume, bytes: Buffer, position: bigint): Promise<void> => {
  const room = disk.sizeBytes > position ? disk.sizeBytes - position : 0n;
  const fits = room < BigInt(bytes.length) ? Number(room) : bytes.length;
  if (bytes.subarray(fits).some((byte) => byte !== 0))
    throw new DiskTooSmall(position + BigInt(bytes.length));
  if (fits > 0) await disk.write(bytes.subarray(0, fits), position);
};

/** How far both passes have come: one looks what there is, the other sends it. */
export const halves = (sizeBytes: bigint, progress: (done: number) => void) => {
  const part = (position: bigint): number => Number(position) / Number(sizeBytes || 1n) / 2;
  return {
    looked: (position: bigint): void => progress(part(position)),
    sent: (position: bigint): void => progress(0.5 + part(position)),
  };
};
