import { ImageRefused } from '../../codec/image-refused.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { Fault } from '../../std/fault.ts';
import { DiskTooSmall } from '../images/image.ts';
import { NoZstd } from './packing.ts';

/** What is wrong with a file, as clients are told. */
export const refusingXva = async <T>(run: () => Promise<T>): Promise<T> => {
  try {
    return await run();
  } catch (error) {
    if (error instanceof ImageRefused && error.ended) throw new Fault('IMPORT_ERROR_PREMATURE_EOF');
    const kinds = [ImageRefused, DiskTooSmall, DecodeFailure, NoZstd];
    const isOfFile = kinds.some((kind) => error instanceof kind);
    throw isOfFile ? new Fault('IMPORT_ERROR', [(error as Error).message]) : error;
  }
};
