import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { stateDbBytesMax } from '../../codec/state-db.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { wholeOf } from '../../std/whole-bytes.ts';

/**
 * The text of a database as it comes from a file or a client, packed with gzip or not. Throws
 * `DecodeFailure`.
 */
export const stateText = async (
  bytes: AsyncIterable<Uint8Array>,
  bytesMax = stateDbBytesMax,
): Promise<string> => {
  const whole = await wholeOf(bytes, bytesMax, () => tooLarge(bytesMax));
  const plain = whole[0] === 0x1f && whole[1] === 0x8b ? await unzipped(whole, bytesMax) : whole;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(plain);
  } catch {
    throw new DecodeFailure('Expected a database in UTF-8');
  }
};

const tooLarge = (bytesMax: number): DecodeFailure =>
  new DecodeFailure(`Expected a database of at most ${bytesMax} bytes`);

const unzipped = async (bytes: Buffer, bytesMax: number): Promise<Buffer> => {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(bytesMax);
    throw new DecodeFailure('Expected a whole file of gzip: it is damaged or was cut short');
  }
};
