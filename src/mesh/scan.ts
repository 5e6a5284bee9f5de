import type { MeshLimits } from './limits.ts';

/** Why bytes are no frame. The link that they came by ends. */
export class FrameFailure extends Error {}

/** The two extensions that frames use: undefined, and objects, whose keys come before the first of their kind. */
const UNDEFINED = 0x00;
const RECORD = 0x72;

/** What is known while a frame is read: how much was there, and how many fields each kind of object has. */
interface Walk {
  readonly bytes: Uint8Array;
  readonly limits: MeshLimits;
  readonly records: (number | undefined)[];
  at: number;
  values: number;
}

/**
 * Reads the bytes of a frame from end to end and makes nothing of them: so much, so deep, these types, these
 * keys and no more. What passes can be decoded, and the memory that it takes is bounded; what a decoder
 * would do with anything else does not matter.
 */
export const scan = (bytes: Uint8Array, limits: MeshLimits): void => {
  if (bytes.length > limits.frameBytesMax) {
    throw new FrameFailure(`A frame of ${bytes.length} bytes is over the limit of ${limits.frameBytesMax}`);
  }
  const walk: Walk = { bytes, limits, records: [], at: 0, values: 0 };
  value(walk, 0);
  if (walk.at !== bytes.length) throw new FrameFailure(`${bytes.length - walk.at} bytes follow the frame`);
};

const value = (walk: Walk, depth: number): void => {
  walk.values += 1;
  if (walk.values > walk.limits.valuesMax) throw new FrameFailure('A frame has too many values');
  const mark = byte(walk);
  if (mark < 0x40 || mark >= 0xe0) return;
  if (mark < 0x80) record(walk, mark, depth);
  else if (mark < 0x90) map(walk, mark & 0x0f, depth);
  else if (mark < 0xa0) array(walk, mark & 0x0f, depth);
  else if (mark < 0xc0) skip(walk, mark & 0x1f);
  else {
    const read = marked[mark];
    if (read === undefined) throw new FrameFailure(`The mark ${mark.toString(16)} is not used in frames`);
    read(walk, depth);
  }
};

type Reader = (walk: Walk, depth: number) => void;

const nothing: Reader = () => {};
const number =
  (bytes: number): Reader =>
  (walk) =>
    skip(walk, bytes);
/** A text or bytes, whose length takes so many bytes. */
const blob =
  (bytes: number): Reader =>
  (walk) =>
    skip(walk, count(walk, bytes));

/** By mark, as MessagePack defines them. Those that are missing are not used in frames. */
const marked: Readonly<Record<number, Reader>> = {
  192: nothing,
  194: nothing,
  195: nothing,
  196: blob(1),
  197: blob(2),
  198: blob(4),
  203: number(8),
  204: number(1),
  205: number(2),
  206: number(4),
  207: number(8),
  208: number(1),
  209: number(2),
  210: number(4),
  211: number(8),
  212: (walk, depth) => extension(walk, depth),
  217: blob(1),
  218: blob(2),
  219: blob(4),
  220: (walk, depth) => array(walk, count(walk, 2), depth),
  221: (walk, depth) => array(walk, count(walk, 4), depth),
  222: (walk, depth) => map(walk, count(walk, 2), depth),
  223: (walk, depth) => map(walk, count(walk, 4), depth),
};

const byte = (walk: Walk): number => {
  const mark = walk.bytes[walk.at++];
  if (mark === undefined) throw new FrameFailure('A frame ends early');
  return mark;
};

const count = (walk: Walk, bytes: number): number => {
  let total = 0;
  for (let i = 0; i < bytes; i++) total = total * 256 + byte(walk);
  return total;
};

const skip = (walk: Walk, bytes: number): void => {
  walk.at += bytes;
  if (walk.at > walk.bytes.length) throw new FrameFailure('A frame ends early');
};

const deeper = (walk: Walk, depth: number): number => {
  if (depth >= walk.limits.depthMax) throw new FrameFailure(`A frame is deeper than ${walk.limits.depthMax}`);
  return depth + 1;
};

const array = (walk: Walk, length: number, depth: number): void => {
  const inner = deeper(walk, depth);
  for (let i = 0; i < length; i++) value(walk, inner);
};

/** Keys of a map are texts and numbers. */
const map = (walk: Walk, size: number, depth: number): void => {
  const inner = deeper(walk, depth);
  for (let i = 0; i < size; i++) {
    const mark = walk.bytes[walk.at] ?? 0;
    const isNumber = mark < 0x40 || mark >= 0xe0 || (mark >= 0xcb && mark <= 0xd3);
    if (!isNumber && !isText(mark)) throw new FrameFailure('A key of a map is neither a text nor a number');
    value(walk, inner);
    value(walk, inner);
  }
};

const isText = (mark: number): boolean => (mark >= 0xa0 && mark < 0xc0) || (mark >= 0xd9 && mark <= 0xdb);

/** A further object of a kind whose keys came before. */
const record = (walk: Walk, mark: number, depth: number): void => {
  const fields = walk.records[mark & 0x3f];
  if (fields === undefined) throw new FrameFailure('An object comes before its keys');
  const inner = deeper(walk, depth);
  for (let i = 0; i < fields; i++) value(walk, inner);
};

const extension = (walk: Walk, depth: number): void => {
  const type = byte(walk);
  const id = byte(walk);
  if (type === UNDEFINED) return;
  if (type !== RECORD || (id & 0xc0) !== 0x40)
    throw new FrameFailure(`The extension ${type} is not used in frames`);
  const mark = byte(walk);
  const keys = mark >= 0x90 && mark < 0xa0 ? mark & 0x0f : mark === 0xdc ? count(walk, 2) : -1;
  if (keys < 0 || keys > walk.limits.keysMax) throw new FrameFailure('An object has no keys, or too many');
  for (let i = 0; i < keys; i++) key(walk);
  walk.records[id & 0x3f] = keys;
  record(walk, id, depth);
};

const key = (walk: Walk): void => {
  if (!isText(walk.bytes[walk.at] ?? 0)) throw new FrameFailure('A key of an object is no text');
  const start = walk.at;
  value(walk, 0);
  if (walk.at - start > walk.limits.keyBytesMax) throw new FrameFailure('A key of an object is too long');
  if (isProto(walk.bytes, start, walk.at)) throw new FrameFailure('__proto__ is no key of an object');
};

const PROTO = Buffer.from('__proto__');

const isProto = (bytes: Uint8Array, start: number, end: number): boolean =>
  end - start >= PROTO.length &&
  end - start <= PROTO.length + 5 &&
  PROTO.equals(bytes.subarray(end - PROTO.length, end));
