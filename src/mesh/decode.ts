import { FrameFailure } from './failure.ts';
import type { MeshLimits } from './limits.ts';

const RECORD = 0x72;
const UNDEFINED = 0x00;

// What is being read, in one go.
let bytes: Buffer = Buffer.alloc(0);
let view: DataView | undefined;
let at = 0;
let end = 0;
let values = 0;
let limits: MeshLimits;
/** By the last bits of their mark, the keys of the kinds of objects that the frame has named. */
const kinds: (readonly string[] | undefined)[] = new Array(64).fill(undefined);

/**
 * The value that bytes stand for, checked as it is read: no more memory goes into it than the limits allow,
 * whatever the bytes say of themselves. Throws `FrameFailure` for bytes that are not one value of the types
 * of frames.
 */
export const decode = (given: Uint8Array, within: MeshLimits): unknown => {
  if (given.length > within.frameBytesMax) {
    throw new FrameFailure(`A frame of ${given.length} bytes is over the limit of ${within.frameBytesMax}`);
  }
  bytes = Buffer.isBuffer(given) ? given : Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  limits = within;
  end = given.length;
  at = values = 0;
  try {
    const value = read(0);
    if (at !== end) throw new FrameFailure(`${end - at} bytes follow the frame`);
    return value;
  } finally {
    kinds.fill(undefined);
    view = undefined;
  }
};

const read = (depth: number): unknown => {
  values += 1;
  if (values > limits.valuesMax) throw tooMany();
  if (at >= end) throw early();
  const mark = bytes[at++] as number;
  if (mark < 0x40) return mark;
  if (mark < 0x80) return readRecord(kinds[mark & 0x3f], depth);
  if (mark < 0x90) return readMap(mark & 0x0f, depth);
  if (mark < 0xa0) return readArray(mark & 0x0f, depth);
  if (mark < 0xc0) return readText(mark & 0x1f);
  if (mark >= 0xe0) return mark - 0x100;
  return readMarked(mark, depth);
};

/** What has a mark of its own. Marks that are missing here are not used in frames. */
const readMarked = (mark: number, depth: number): unknown => {
  switch (mark) {
    case 0xc0:
      return null;
    case 0xc2:
      return false;
    case 0xc3:
      return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return readBytes(count(1 << (mark - 0xc4)));
    case 0xcb:
      return viewed(8).getFloat64(at - 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
      return count(1 << (mark - 0xcc));
    case 0xcf:
      return viewed(8).getBigUint64(at - 8);
    case 0xd0:
      return viewed(1).getInt8(at - 1);
    case 0xd1:
      return viewed(2).getInt16(at - 2);
    case 0xd2:
      return viewed(4).getInt32(at - 4);
    case 0xd3:
      return viewed(8).getBigInt64(at - 8);
    case 0xd4:
      return readExtension(depth);
    case 0xd9:
    case 0xda:
    case 0xdb:
      return readText(count(1 << (mark - 0xd9)));
    case 0xdc:
    case 0xdd:
      return readArray(count(2 << (mark - 0xdc)), depth);
    case 0xde:
    case 0xdf:
      return readMap(count(2 << (mark - 0xde)), depth);
    default:
      throw new FrameFailure(`The mark ${mark.toString(16)} is not used in frames`);
  }
};

const early = (): FrameFailure => new FrameFailure('A frame ends early');
const tooMany = (): FrameFailure => new FrameFailure('A frame has too many values');

/** Goes on by so many bytes, which are there. */
const pass = (sizeBytes: number): void => {
  if (sizeBytes > end - at) throw early();
  at += sizeBytes;
};

const viewed = (sizeBytes: number): DataView => {
  pass(sizeBytes);
  view ??= new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view;
};

/** A whole number of one, two or four bytes. */
const count = (sizeBytes: number): number => {
  const start = at;
  pass(sizeBytes);
  let total = 0;
  for (let i = start; i < at; i++) total = total * 256 + (bytes[i] as number);
  return total;
};

const readBytes = (sizeBytes: number): Uint8Array => {
  pass(sizeBytes);
  return bytes.subarray(at - sizeBytes, at);
};

/**
 * So many values are to follow, one level down: that there can be so many is known before there is room for
 * them.
 */
const enter = (length: number, depth: number): number => {
  if (depth >= limits.depthMax) throw new FrameFailure(`A frame is deeper than ${limits.depthMax}`);
  if (length > end - at) throw early();
  if (values + length > limits.valuesMax) throw tooMany();
  return depth + 1;
};

const readArray = (length: number, depth: number): unknown[] => {
  const inner = enter(length, depth);
  const array: unknown[] = new Array(length);
  for (let i = 0; i < length; i++) array[i] = read(inner);
  return array;
};

/** Keys of a map are texts and numbers. */
const readMap = (size: number, depth: number): Map<unknown, unknown> => {
  const inner = enter(size * 2, depth);
  const map = new Map<unknown, unknown>();
  for (let i = 0; i < size; i++) {
    const key = read(inner);
    if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'bigint')
      throw new FrameFailure('A key of a map is neither a text nor a number');
    map.set(key, read(inner));
  }
  return map;
};

const readRecord = (keys: readonly string[] | undefined, depth: number): unknown => {
  if (keys === undefined) throw new FrameFailure('An object comes before its keys');
  const inner = enter(keys.length, depth);
  const record: Record<string, unknown> = {};
  for (let i = 0; i < keys.length; i++) record[keys[i] as string] = read(inner);
  return record;
};

/** Undefined, or an object with its keys. */
const readExtension = (depth: number): unknown => {
  pass(2);
  const type = bytes[at - 2];
  const mark = bytes[at - 1] as number;
  if (type === UNDEFINED) return undefined;
  if (type !== RECORD || (mark & 0xc0) !== 0x40)
    throw new FrameFailure(`The extension ${type} is not used in frames`);
  const keys = readKeys();
  kinds[mark & 0x3f] = keys;
  return readRecord(keys, depth);
};

const readKeys = (): readonly string[] => {
  const mark = count(1);
  const length = mark >= 0x90 && mark < 0xa0 ? mark & 0x0f : mark === 0xdc ? count(2) : -1;
  if (length < 0 || length > limits.keysMax) throw new FrameFailure('An object has no keys, or too many');
  const keys: string[] = [];
  for (let i = 0; i < length; i++) {
    const start = at;
    const key = read(limits.depthMax);
    if (typeof key !== 'string') throw new FrameFailure('A key of an object is no text');
    if (at - start > limits.keyBytesMax) throw new FrameFailure('A key of an object is too long');
    if (key === '__proto__') throw new FrameFailure('__proto__ is no key of an object');
    keys.push(key);
  }
  return keys;
};

const KNOWN_BYTES_MAX = 32;
const KNOWN_MAX = 512;
/**
 * Short texts that came lately, as keys and names come again and again: to compare one is less than to make
 * one.
 */
const known: string[] = new Array(KNOWN_MAX).fill('');

const readText = (sizeBytes: number): string => {
  const start = at;
  pass(sizeBytes);
  if (sizeBytes > KNOWN_BYTES_MAX) return bytes.toString(undefined, start, at);
  const from = bytes;
  let hash = sizeBytes;
  for (let i = start; i < at; i++) hash = (hash * 31 + (from[i] as number)) | 0;
  const place = (hash ^ (hash >>> 9)) & (KNOWN_MAX - 1);
  const text = known[place] as string;
  if (text.length === sizeBytes && isAt(from, start, text)) return text;
  const made = from.toString(undefined, start, at);
  // Where every byte made a character, they are ASCII, and can be told by their codes.
  if (made.length === sizeBytes) known[place] = made;
  return made;
};

const isAt = (from: Uint8Array, start: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) !== from[start + i]) return false;
  }
  return true;
};
