import { ImageRefused } from '../../codec/image-refused.ts';
import type { Ref } from '../../model/types.ts';
import { Fault } from '../../std/fault.ts';
import { DiskTooSmall } from './image.ts';

/**
 * What is wrong with an image, as clients are told. One that was cut is no fault of the disk unless it is
 * raw: a client that cuts where it is done takes no note of that fault.
 */
export const refusing = async (
  vdi: Ref<'VDI'>,
  isPlain: boolean,
  run: () => Promise<void>,
): Promise<void> => {
  try {
    await run();
  } catch (error) {
    if (error instanceof DiskTooSmall) throw new Fault('VDI_TOO_SMALL', [vdi, `${error.neededBytes}`]);
    if (!(error instanceof ImageRefused)) throw error;
    throw new Fault(error.ended && isPlain ? 'VDI_IO_ERROR' : 'IMPORT_ERROR', [error.message]);
  }
};
