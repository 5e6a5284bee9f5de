import { Fault } from '../std/fault.ts';
import type { Type } from './types.ts';

// How much a value may hold. Each type has a limit, the one of its kind unless its declaration says another;
// it is checked of every argument that comes in, and of every field that is written, however it grew.

/** Bytes in UTF-8 of a text. */
export const textBytesMax = 131_072;
/** Of a reference, which is a name and never content. */
export const refBytesMax = 1_024;
/** Of a key of a map. */
export const keyBytesMax = 4_096;
export const membersMax = 16_384;
export const keysMax = 4_096;
/** Bytes of all members of a set, or of all keys and values of a map. */
export const collectionBytesMax = 1_048_576;
/** Of all fields of a row together. */
export const rowBytesMax = 4 * 1_048_576;
/** Of all that one commit writes. */
export const commitBytesMax = 12 * 1_048_576;

/** Bytes that every value counts as, so that many empty ones are not nothing. */
const leastBytes = 8;

export const bytesMaxOf = ({ kind, bytesMax }: Type<any>): number =>
  bytesMax ??
  (kind === 'set' || kind === 'map' ? collectionBytesMax : kind === 'ref' ? refBytesMax : textBytesMax);

export const itemsMaxOf = ({ kind, itemsMax }: Type<any>): number =>
  itemsMax ?? (kind === 'map' ? keysMax : membersMax);

const tooMuch = (path: string, reason: string): Fault => new Fault('INVALID_VALUE', [path, reason]);

const shownMax = 64;

const keyed = (path: string, key: unknown): string => `${path}:${String(key).slice(0, shownMax)}`;

const textBytes = (text: string, bytesMax: number, path: string): number => {
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) throw tooMuch(path, `Longer than ${bytesMax} bytes: it has ${bytes}`);
  return leastBytes + bytes;
};

const assertTogether = (bytes: number, type: Type<any>, path: string): void => {
  const bytesMax = bytesMaxOf(type);
  if (bytes > bytesMax) throw tooMuch(path, `Larger than ${bytesMax} bytes in all`);
};

const assertCount = (count: number, type: Type<any>, path: string): void => {
  const itemsMax = itemsMaxOf(type);
  if (count > itemsMax) throw tooMuch(path, `More than ${itemsMax} entries: it has ${count}`);
};

/** Bytes that a value of a type holds. Throws INVALID_VALUE with `path` and what is too much of it. */
export const measured = (type: Type<any>, value: unknown, path: string): number => {
  if (type.kind === 'option' && type.item !== undefined && value !== undefined) {
    return measured(type.item, value, path);
  }
  if (typeof value === 'string') return textBytes(value, bytesMaxOf(type), path);
  if (type.item === undefined || typeof value !== 'object' || value === null) return leastBytes;
  let bytes = leastBytes;
  if (value instanceof Map) {
    assertCount(value.size, type, path);
    for (const [key, item] of value) {
      bytes += typeof key === 'string' ? textBytes(key, keyBytesMax, keyed(path, key)) : leastBytes;
      bytes += measured(type.item, item, keyed(path, key));
      assertTogether(bytes, type, path);
    }
  } else if (Array.isArray(value)) {
    assertCount(value.length, type, path);
    for (const item of value) {
      bytes += measured(type.item, item, path);
      assertTogether(bytes, type, path);
    }
  }
  return bytes;
};

/** What of a text is within so many bytes, whole characters only. */
const cut = (text: string, bytesMax: number): string => {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  const bytes = Buffer.from(text);
  let end = bytesMax;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
};

/**
 * What of a text, or of a map of texts with keys, is within the limits of its type: for what is told and
 * cannot be refused.
 */
export const fitting = <T extends string | ReadonlyMap<string, string>>(type: Type<T>, value: T): T => {
  if (typeof value === 'string') return cut(value, bytesMaxOf(type)) as T;
  const item = type.item as Type<string> | undefined;
  const kept = new Map<string, string>();
  let bytes = leastBytes;
  for (const [key, text] of value as ReadonlyMap<string, string>) {
    if (key === '' || Buffer.byteLength(key) > keyBytesMax) continue;
    const short = item === undefined ? text : cut(text, bytesMaxOf(item));
    bytes += 2 * leastBytes + Buffer.byteLength(key) + Buffer.byteLength(short);
    if (bytes > bytesMaxOf(type) || kept.size >= itemsMaxOf(type)) break;
    kept.set(key, short);
  }
  return kept as ReadonlyMap<string, string> as T;
};

/** What a declaration says of a limit that is not the one of its kind: `at most 4096 bytes`; else nothing. */
export const limitOf = (type: Type<any>): string => {
  const { bytesMax, itemsMax, item } = type;
  const own = [
    ...(itemsMax === undefined ? [] : [`${itemsMax} entries`]),
    ...(bytesMax === undefined ? [] : [`${bytesMax} bytes`]),
    ...(item?.bytesMax === undefined ? [] : [`${item.bytesMax} bytes each`]),
  ];
  return own.length === 0 ? '' : `at most ${own.join(', ')}`;
};
