import { FrameFailure } from './failure.ts';
import type { MeshLimits } from './limits.ts';

/**
 * Marks of MessagePack; 0x40 to 0x7f are objects whose keys came before. `RECORD` and `UNDEFINED` are its
 * extensions.
 */
const RECORD = 0x72;
const UNDEFINED = 0x00;

/** A kind of object is its keys, in order. Kinds are a tree of them, which is kept from frame to frame. */
interface Kind {
  readonly next: Map<string, Kind>;
  /** The child that was asked for last: objects that follow each other tend to be alike. */
  lastKey: string | undefined;
  last: Kind | undefined;
  /** Its keys as they go into a frame, once they are known to fit. */
  keys: Uint8Array | undefined;
  /** The last frame that has the keys, and the mark of such objects in it. */
  frame: number;
  mark: number;
}

const KINDS_MAX = 4_096;
const SCRATCH_BYTES = 65_536;
const SCRATCH_BYTES_MAX = 1_048_576;
/** Up to this length a loop over characters is faster than a call into the runtime. */
const LOOP_CHARACTERS_MAX = 24;

// What is being written. One frame is begun and ended in one go, so that all can share the room for it.
let bytes = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
let view = new DataView(bytes.buffer);
let at = 0;
let values = 0;
let limits: MeshLimits;
let frame = 0;
let lastMark = 0;
const defined: (Kind | undefined)[] = new Array(64).fill(undefined);

const kindOf = (): Kind => ({
  next: new Map(),
  lastKey: undefined,
  last: undefined,
  keys: undefined,
  frame: 0,
  mark: 0,
});
let kinds = kindOf();
let kindsCount = 0;

/**
 * One value in MessagePack, as `decode` takes it. Throws `FrameFailure` for what the other side would refuse,
 * before more memory goes into it than a frame may have.
 */
export const encode = (value: unknown, within: MeshLimits): Uint8Array => {
  limits = within;
  at = values = 0;
  frame += 1;
  lastMark = 0;
  write(value, 0);
  if (at > limits.frameBytesMax) throw tooLong();
  const encoded = Buffer.allocUnsafe(at);
  bytes.copy(encoded, 0, 0, at);
  if (bytes.length > SCRATCH_BYTES_MAX) replace(Buffer.allocUnsafeSlow(SCRATCH_BYTES));
  return encoded;
};

const tooLong = (): FrameFailure =>
  new FrameFailure(`A frame is longer than the limit of ${limits.frameBytesMax} bytes`);

const replace = (next: Buffer<ArrayBuffer>): void => {
  bytes = next;
  view = new DataView(next.buffer);
};

/** Makes sure that so much can be written without looking. */
const room = (sizeBytes: number): void => {
  if (at + sizeBytes <= bytes.length) return;
  if (at > limits.frameBytesMax) throw tooLong();
  const larger = Buffer.allocUnsafeSlow(2 * (at + sizeBytes));
  bytes.copy(larger, 0, 0, at);
  replace(larger);
};

const write = (value: unknown, depth: number): void => {
  values += 1;
  if (values > limits.valuesMax) throw new FrameFailure('A frame has too many values');
  room(16);
  if (typeof value === 'string') writeText(value);
  else if (typeof value === 'number') writeNumber(value);
  else if (typeof value === 'object') writeObject(value, depth);
  else if (typeof value === 'boolean') bytes[at++] = value ? 0xc3 : 0xc2;
  else if (typeof value === 'bigint') writeBigint(value);
  else if (value === undefined) {
    bytes[at] = 0xd4;
    bytes[at + 1] = bytes[at + 2] = UNDEFINED;
    at += 3;
  } else throw new FrameFailure(`A value cannot travel: it is a ${typeof value}`);
};

/** A mark and a length, in as few bytes as it takes; `marks` for one, two and four of them. */
const writeLength = (length: number, short: number, shortMax: number, marks: readonly number[]): void => {
  if (length <= shortMax) bytes[at++] = short | length;
  else if (length < 0x100 && marks.length === 3) {
    bytes[at++] = marks[0] as number;
    bytes[at++] = length;
  } else if (length < 0x10000) {
    bytes[at++] = marks[marks.length - 2] as number;
    view.setUint16(at, length);
    at += 2;
  } else {
    bytes[at++] = marks[marks.length - 1] as number;
    view.setUint32(at, length);
    at += 4;
  }
};

const TEXTS = [0xd9, 0xda, 0xdb];
const BLOBS = [0xc4, 0xc5, 0xc6];
const ARRAYS = [0xdc, 0xdd];
const MAPS = [0xde, 0xdf];

const writeText = (text: string): void => {
  const { length } = text;
  if (length > limits.frameBytesMax) throw tooLong();
  room(length * 3 + 16);
  if (length < LOOP_CHARACTERS_MAX && writeShort(text, length)) return;
  if (length >= 32 && length < 86) {
    // Whatever the characters are, the length in bytes takes one.
    const sizeBytes = bytes.write(text, at + 2);
    bytes[at] = 0xd9;
    bytes[at + 1] = sizeBytes;
    at += 2 + sizeBytes;
  } else {
    writeLength(Buffer.byteLength(text), 0xa0, 31, TEXTS);
    at += bytes.write(text, at);
  }
};

/** False, with nothing that counts written, where a character needs more than a byte. */
const writeShort = (text: string, length: number): boolean => {
  const into = bytes;
  const start = at + 1;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return false;
    into[start + i] = code;
  }
  into[at] = 0xa0 | length;
  at = start + length;
  return true;
};

const writeNumber = (value: number): void => {
  if (value >>> 0 === value) {
    if (value < 0x40) bytes[at++] = value;
    else if (value < 0x100) {
      bytes[at++] = 0xcc;
      bytes[at++] = value;
    } else if (value < 0x10000) {
      bytes[at++] = 0xcd;
      bytes[at++] = value >> 8;
      bytes[at++] = value & 0xff;
    } else {
      bytes[at++] = 0xce;
      view.setUint32(at, value);
      at += 4;
    }
  } else if (value >> 0 === value) {
    bytes[at++] = 0xd2;
    view.setInt32(at, value);
    at += 4;
  } else {
    bytes[at++] = 0xcb;
    view.setFloat64(at, value);
    at += 8;
  }
};

const writeBigint = (value: bigint): void => {
  if (BigInt.asIntN(64, value) === value) {
    bytes[at++] = 0xd3;
    view.setBigInt64(at, value);
  } else if (BigInt.asUintN(64, value) === value) {
    bytes[at++] = 0xcf;
    view.setBigUint64(at, value);
  } else throw new FrameFailure('A value cannot travel: it is an integer of more than 64 bits');
  at += 8;
};

const writeObject = (value: object | null, depth: number): void => {
  if (value === null) bytes[at++] = 0xc0;
  else if (ArrayBuffer.isView(value)) writeBytes(value);
  else writeContainer(value, depth);
};

const writeContainer = (value: object, depth: number): void => {
  if (depth >= limits.depthMax) throw new FrameFailure(`A frame is deeper than ${limits.depthMax}`);
  if (Array.isArray(value)) writeArray(value, depth + 1);
  else if (isPlain(value)) writeRecord(value as Readonly<Record<string, unknown>>, depth + 1);
  else if (value instanceof Map) writeMap(value, depth + 1);
  else if (value instanceof Set) writeArray([...value], depth + 1);
  else throw new FrameFailure(`A value cannot travel: it is a ${value.constructor?.name}`);
};

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
};

const writeBytes = (value: ArrayBufferView): void => {
  if (!(value instanceof Uint8Array))
    throw new FrameFailure(`A value cannot travel: it is a ${value.constructor.name}`);
  if (value.length > limits.frameBytesMax) throw tooLong();
  room(value.length + 16);
  writeLength(value.length, 0, -1, BLOBS);
  bytes.set(value, at);
  at += value.length;
};

const writeArray = (items: readonly unknown[], depth: number): void => {
  const { length } = items;
  writeLength(length, 0x90, 15, ARRAYS);
  for (let i = 0; i < length; i++) write(items[i], depth);
};

const writeMap = (map: ReadonlyMap<unknown, unknown>, depth: number): void => {
  writeLength(map.size, 0x80, 15, MAPS);
  for (const [key, value] of map) {
    if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'bigint')
      throw new FrameFailure('A key of a map is neither a text nor a number');
    write(key, depth);
    write(value, depth);
  }
};

const writeRecord = (value: Readonly<Record<string, unknown>>, depth: number): void => {
  let kind = kinds;
  for (const key in value) kind = kind.lastKey === key ? (kind.last as Kind) : nextKind(kind, key);
  if (kind.frame === frame && defined[kind.mark & 0x3f] === kind) bytes[at++] = kind.mark;
  else define(kind, value);
  for (const key in value) write(value[key], depth);
};

const nextKind = (kind: Kind, key: string): Kind => {
  let next = kind.next.get(key);
  if (next === undefined) {
    if (kindsCount >= KINDS_MAX) {
      kinds = kindOf();
      kindsCount = 0;
    }
    kindsCount += 1;
    next = kindOf();
    kind.next.set(key, next);
  }
  kind.lastKey = key;
  kind.last = next;
  return next;
};

/**
 * The keys come before the first object of a kind. There are 64 marks: after that they are given out again.
 */
const define = (kind: Kind, value: object): void => {
  kind.keys ??= keysOf(value);
  kind.frame = frame;
  kind.mark = 0x40 | (lastMark++ & 0x3f);
  defined[kind.mark & 0x3f] = kind;
  room(kind.keys.length + 16);
  bytes[at] = 0xd4;
  bytes[at + 1] = RECORD;
  bytes[at + 2] = kind.mark;
  bytes.set(kind.keys, at + 3);
  at += 3 + kind.keys.length;
};

const keysOf = (value: object): Uint8Array => {
  const keys: string[] = [];
  for (const key in value) keys.push(key);
  if (keys.length > limits.keysMax) throw new FrameFailure('An object has too many keys');
  const start = at;
  room(16);
  writeLength(keys.length, 0x90, 15, ARRAYS);
  for (const key of keys) {
    if (key === '__proto__') throw new FrameFailure('__proto__ is no key of an object');
    const from = at;
    writeText(key);
    if (at - from > limits.keyBytesMax) throw new FrameFailure('A key of an object is too long');
  }
  const written = Uint8Array.prototype.slice.call(bytes, start, at);
  at = start;
  return written;
};
