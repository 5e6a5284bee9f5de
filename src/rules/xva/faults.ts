import { ImageRefused } from '../../codec/image-refused.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { Fault } from '../../std/fault.ts';
import { DiskTooSmall } from '../images/image.ts';

/** What is wrong with a file, as clients are told. */
export const refusingXva = async <T>(run: () => Promise<T>): Promise<T> => {
  try {
    return await run();
  } catch (error) {
    if (error instanceof ImageRefused && error.ended) throw new Fault('IMPORT_ERROR_PREMATURE_EOF');
    const isOfFile = [ImageRefused, DiskTooSmall, DecodeFailure].some((kind) => error instanceof kind);
    throw isOfFile ? new Fault('IMPORT_ERROR', [(error as Error).message]) : error;
  }
};
