import { Packr } from 'msgpackr';

const packr = new Packr({ int64AsType: 'bigint' });

/** A value as it travels in frames, by itself. */
export const encodeValue = (value: unknown): Uint8Array => packr.pack(value);

/** Throws for bytes that are no value. What it holds is still to be checked. */
export const decodeValue = (bytes: Uint8Array): unknown => packr.unpack(bytes);
