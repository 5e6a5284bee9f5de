import { tarEnd } from '../../codec/tar.ts';
import type { OpenDisk } from '../../objects/disk.ts';
import { disksGiven, tarText } from './disks.ts';
import { type FieldsOf, type OvaObject, ovaText, type XvaOrigin } from './ova.ts';

export interface XvaFile {
  readonly objects: readonly OvaObject[];
  readonly fieldsOf: FieldsOf;
  readonly origin: XvaOrigin;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Lets others have their turn. */
  readonly rest: () => Promise<void>;
  /** In the order of the file. */
  readonly disks: readonly XvaDisk[];
  readonly progress: (done: number) => void;
  readonly signal: AbortSignal;
  /** Told when all but the end of the file was given: nobody can have read it as a whole before. */
  readonly ending?: () => void;
}

export interface XvaDisk {
  readonly id: string;
  readonly sizeBytes: bigint;
  readonly open: () => Promise<OpenDisk>;
}

/**
 * A whole file, of which nothing but a block is in memory. A piece is good until the next one is asked for.
 */
export async function* xvaFile(file: XvaFile): AsyncGenerator<Buffer> {
  const { objects, fieldsOf, origin, disks, progress, signal } = file;
  const text = () => ovaText(objects, fieldsOf, origin);
  yield* tarText('ova.xml', text, Math.floor(file.now / 1_000), file.rest);
  const total = Number(disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0n) || 1n);
  const give = disksGiven();
  let before = 0n;
  for (const { id, open, sizeBytes } of disks) {
    const disk = await open();
    try {
      const tell = (position: bigint): void => progress(Number(before + position) / total);
      yield* give({ id, disk, tell, signal });
    } finally {
      await disk.close();
    }
    before += sizeBytes;
  }
  file.ending?.();
  yield tarEnd();
}
