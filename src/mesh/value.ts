import { decode } from './decode.ts';
import { encode } from './encode.ts';
import { type MeshLimits, meshLimits } from './limits.ts';

/** What one host hands another as a whole, before there is a link: the rows of a host that joins a pool. */
export const valueLimits: MeshLimits = {
  ...meshLimits,
  frameBytesMax: 256 * 1_048_576,
  valuesMax: 16_000_000,
};

/** A value as it travels in frames, by itself. Throws `FrameFailure` for what the other side would refuse. */
export const encodeValue = (value: unknown): Uint8Array => encode(value, valueLimits);

/**
 * Throws `FrameFailure` for bytes that are no value, and before more memory goes into one than the limits
 * allow. What it holds is still to be checked.
 */
export const decodeValue = (bytes: Uint8Array): unknown => decode(bytes, valueLimits);
