import { decode } from './decode.ts';
import { encode } from './encode.ts';
import { FrameFailure, isProblem, type Problem } from './failure.ts';
import type { MeshLimits } from './limits.ts';

/**
 * What crosses a link. Ids of calls and streams are chosen by whoever opens them, each side counting by
 * itself; an id below zero is a stream of the other side's.
 */
export type Item =
  | readonly [kind: 'hello', Hello]
  | readonly [kind: 'refuse', why: string]
  | readonly [
      kind: 'call',
      id: number,
      name: string,
      payload: unknown,
      leftMs: number,
      requestId: string,
      dies: boolean,
    ]
  | readonly [kind: 'open', id: number, name: string, payload: unknown, leftMs: number, windowBytes: number]
  | readonly [kind: 'reply', id: number, value: unknown]
  | readonly [kind: 'fail', id: number, problem: Problem]
  | readonly [kind: 'cancel', id: number]
  | readonly [kind: 'data', stream: number, bytes: Uint8Array]
  | readonly [kind: 'credit', stream: number, bytes: number]
  | readonly [kind: 'end', stream: number]
  | readonly [kind: 'cut', stream: number, problem: Problem]
  | readonly [kind: 'ping', id: number]
  | readonly [kind: 'pong', id: number];

/**
 * The first item each way. Its form is the same in all versions, so that any two programs can tell each other
 * theirs.
 */
export interface Hello {
  readonly host: string;
  /** Versions of the protocol that are spoken, the lowest and the highest. */
  readonly versions: readonly [min: number, max: number];
  readonly software: string;
  /** The name of this link, chosen by the side that dialled. */
  readonly link: string;
  /** The name of the last link with the other side that came up here, or ''. */
  readonly last: string;
}

export interface Frame {
  /** Of the protocol that both sides agreed on; 0 before they have. */
  readonly version: number;
  readonly epoch: number;
  readonly items: readonly Item[];
}

/**
 * Strings, numbers, bigints of 64 bits, booleans, null, undefined, bytes, arrays, Maps and plain objects
 * arrive as they were; -0 arrives as 0, half a surrogate pair as U+FFFD and a Set as an array. Throws
 * `FrameFailure` for what the other side would not take: other objects, larger integers, circles, and what is
 * over a limit.
 */
export const encodeFrame = ({ version, epoch, items }: Frame, limits: MeshLimits): Uint8Array => {
  try {
    return encode([version, epoch, items], limits);
  } catch (error) {
    // Such as a property that throws when it is read.
    throw error instanceof FrameFailure
      ? error
      : new FrameFailure(`A value cannot travel: ${(error as Error).message}`);
  }
};

/** Throws `FrameFailure` for bytes that are no frame, whatever they are. */
export const decodeFrame = (bytes: Uint8Array, limits: MeshLimits): Frame => {
  const frame = decode(bytes, limits);
  if (!Array.isArray(frame) || frame.length !== 3) throw new FrameFailure('A frame has three parts');
  const [version, epoch, items] = frame;
  if (!isCount(version) || !isCount(epoch)) throw new FrameFailure('A frame has no version or no epoch');
  if (!Array.isArray(items) || items.length > limits.itemsMax)
    throw new FrameFailure('A frame has no items, or too many');
  for (const item of items) {
    if (!isItem(item)) throw new FrameFailure(`An item of a frame is not in order: ${kindOf(item)}`);
  }
  return { version, epoch, items };
};

type Test = (value: unknown) => boolean;

const isText: Test = (value) => typeof value === 'string';
const isFlag: Test = (value) => typeof value === 'boolean';
const isAnything: Test = () => true;
const isBytes: Test = (value) => value instanceof Uint8Array;
const isId = (value: unknown): value is number => Number.isSafeInteger(value);
const isCount = (value: unknown): value is number => isId(value) && value >= 0;

const isHello: Test = (value) => {
  if (typeof value !== 'object' || value === null) return false;
  const { host, versions, software, link, last } = value as Record<string, unknown>;
  const spoken = Array.isArray(versions) && versions.length === 2 && versions.every(isCount);
  return spoken && [host, software, link, last].every(isText);
};

/** What follows the kind, in order. */
const parts: Readonly<Record<Item[0], readonly Test[]>> = {
  hello: [isHello],
  refuse: [isText],
  call: [isCount, isText, isAnything, isCount, isText, isFlag],
  open: [isCount, isText, isAnything, isCount, isCount],
  reply: [isCount, isAnything],
  fail: [isCount, isProblem],
  cancel: [isCount],
  data: [isId, isBytes],
  credit: [isId, isCount],
  end: [isId],
  cut: [isId, isProblem],
  ping: [isCount],
  pong: [isCount],
};
const partsOf = new Map<unknown, readonly Test[]>(Object.entries(parts));

const isItem = (item: unknown): item is Item => {
  if (!Array.isArray(item)) return false;
  const tests = partsOf.get(item[0]);
  if (tests === undefined || item.length !== tests.length + 1) return false;
  for (let i = 0; i < tests.length; i++) {
    if (!(tests[i] as Test)(item[i + 1])) return false;
  }
  return true;
};

const kindOf = (item: unknown): string => {
  const kind = Array.isArray(item) ? item[0] : item;
  return typeof kind === 'string' ? kind.slice(0, 20) : typeof kind;
};
