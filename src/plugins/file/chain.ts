import {
  QCOW2_HEAD_BYTES,
  type Qcow2Header,
  Qcow2Refused,
  readQcow2Header,
} from '../../codec/qcow2-header.ts';
import type { Disk } from '../../drivers/disk.ts';
import { NotWithin } from '../../std/within.ts';
import { failure } from '../script.ts';

export type ImageFormat = 'raw' | 'qcow2';

/** Deeper chains make every read slower, and QEMU opens each file of one. */
export const CHAIN_MAX = 64;

const PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(raw|qcow2)$/;

export const isImage = (name: string): boolean => PATTERN.test(name);
export const formatOf = (image: string): ImageFormat => (image.endsWith('.qcow2') ? 'qcow2' : 'raw');

/**
 * The images of one folder as they are found: by regular files alone, and by nothing that leads out of it.
 */
export interface FoundImages {
  headOf(image: string): Promise<Qcow2Header>;
  /** The image and all it stands on, top first. */
  chainOf(image: string): Promise<readonly string[]>;
}

export const foundImages = (disk: Disk, folder: string): FoundImages => {
  const headOf = async (image: string): Promise<Qcow2Header> => {
    const file = await disk.openWithin(folder, image, 'read').catch((error: NodeJS.ErrnoException) => {
      const leadsOut = error instanceof NotWithin || ['ELOOP', 'EINVAL'].includes(error.code ?? '');
      throw leadsOut ? failure('The image is no regular file of this SR', image) : error;
    });
    try {
      if (formatOf(image) === 'raw') return { sizeBytes: file.sizeBytes, backing: undefined };
      const bytes = Buffer.alloc(QCOW2_HEAD_BYTES);
      const head = readQcow2Header(bytes.subarray(0, await file.read(bytes, 0n)));
      const { backing } = head;
      if (backing === undefined || (isImage(backing) && formatOf(backing) === 'qcow2')) return head;
      throw failure('The image stands on a file that is not of this SR', image);
    } catch (error) {
      if (error instanceof Qcow2Refused) throw failure(`The image cannot be used: ${error.message}`, image);
      throw error;
    } finally {
      await file.close();
    }
  };
  const chainOf = async (image: string): Promise<readonly string[]> => {
    const chain: string[] = [];
    for (let next: string | undefined = image; next !== undefined; ) {
      if (chain.length > CHAIN_MAX || chain.includes(next)) {
        throw failure('The image stands on too many others', image);
      }
      chain.push(next);
      const { backing }: Qcow2Header = await headOf(next);
      next = backing;
    }
    return chain;
  };
  return { headOf, chainOf };
};
