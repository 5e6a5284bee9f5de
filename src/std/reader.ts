import { DecodeFailure, shown } from './decode-failure.ts';
import { int64Of, floatOf as parsedFloat } from './numbers.ts';
import { isDateTime, type Struct, type Value } from './value.ts';

// The one reader of values that come from outside: files, daemons, plugins, other hosts. Each function takes
// what it is given for nothing, answers the value by its type and throws a `DecodeFailure` that names `what`.
// Objects of `JSON.parse` count as structs; integers may be written as texts, as rpclib's XML has them.

/** Reads one value; `what` names it in the error. */
export type Read<T> = (value: Value, what: string) => T;

const isObject = (value: unknown): value is Readonly<Record<string, Value>> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

const spelled = (value: unknown): string => {
  if (typeof value === 'string') return shown(value);
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Uint8Array) return 'bytes';
  return isDateTime(value as Value) ? 'a date' : 'a struct';
};

export const unfit = (what: string, expected: string, value: unknown): DecodeFailure =>
  new DecodeFailure(`Expected ${what} to be ${expected}, got ${spelled(value)}`);

/** Any JSON. */
export const jsonOf = (text: string, what = 'the text'): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DecodeFailure(`Expected ${what} to be JSON: ${(error as Error).message}`);
  }
};

/** Likewise, for what may be anything: undefined where it is no JSON. */
export const jsonIn = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** What no object has. */
export const noMembers: Readonly<Record<string, unknown>> = {};

/** The members of an object, each to be looked at by itself. */
export const membersOf = (value: unknown): Readonly<Record<string, unknown>> =>
  isObject(value) ? value : noMembers;

/** `lengthMax` counts UTF-16 units. */
export const stringOf = (
  value: unknown,
  what = 'the value',
  lengthMax = Number.POSITIVE_INFINITY,
): string => {
  if (typeof value !== 'string') throw unfit(what, 'a string', value);
  if (value.length > lengthMax) {
    throw new DecodeFailure(`Expected ${what} to have at most ${lengthMax} characters`);
  }
  return value;
};

/** One of the given texts. */
export const oneOf = <T extends string>(value: unknown, names: readonly T[], what = 'the value'): T => {
  const found = names.find((name) => name === value);
  if (found === undefined) throw unfit(what, `one of ${names.join(', ')}`, value);
  return found;
};

/** An int64. */
export const intOf = (value: unknown, what = 'the value'): bigint => {
  const int = typeof value === 'string' ? int64Of(value) : value;
  if (typeof int === 'bigint') return int;
  throw unfit(what, 'an integer', value);
};

/** An int64 from 0 on. */
export const naturalOf = (value: unknown, what = 'the value'): bigint => {
  const int = intOf(value, what);
  if (int < 0n) throw new DecodeFailure(`Expected ${what} not to be negative, got ${int}`);
  return int;
};

/** A whole number from 0 to `most`, as a number. */
export const countOf = (value: unknown, what = 'the value', most = Number.MAX_SAFE_INTEGER): number => {
  const count = typeof value === 'bigint' ? Number(value) : value;
  if (Number.isSafeInteger(count) && (count as number) >= 0 && (count as number) <= most)
    return count as number;
  const range =
    most === Number.MAX_SAFE_INTEGER ? 'a whole number from 0' : `a whole number from 0 to ${most}`;
  throw unfit(what, range, value);
};

export const floatOf = (value: unknown, what = 'the value'): number => {
  if (typeof value === 'bigint') return Number(value);
  const float = typeof value === 'string' ? parsedFloat(value) : value;
  if (typeof float === 'number') return float;
  throw unfit(what, 'a number', value);
};

export const boolOf = (value: unknown, what = 'the value'): boolean => {
  if (typeof value === 'boolean') return value;
  throw unfit(what, 'a boolean', value);
};

export const listOf = (value: unknown, what = 'the value'): readonly Value[] => {
  if (Array.isArray(value)) return value as readonly Value[];
  throw unfit(what, 'a list', value);
};

/** A list whose items are read, each by its position. */
export const itemsOf = <T>(
  value: unknown,
  read: Read<T>,
  what = 'the list',
  lengthMax = Number.POSITIVE_INFINITY,
): readonly T[] => {
  const items = listOf(value, what);
  if (items.length > lengthMax) {
    throw new DecodeFailure(`Expected at most ${lengthMax} ${what}, got ${items.length}`);
  }
  return items.map((item, at) => read(item, `${what}[${at}]`));
};

/** A tuple is a list whose length is known. */
export const tupleOf = (value: unknown, count: number, what = 'the value'): readonly Value[] => {
  const items = listOf(value, what);
  if (items.length === count) return items;
  throw unfit(what, `a list of ${count}`, value);
};

export const structOf = (value: unknown, what = 'the value'): Struct => {
  if (value instanceof Map) return value;
  if (isObject(value) && !isDateTime(value as unknown as Value)) return new Map(Object.entries(value));
  throw unfit(what, 'a struct', value);
};

/** A struct with no members but these: for files that people write, whose slips must not go unnoticed. */
export const knownStructOf = (value: unknown, names: readonly string[], what = 'the value'): Struct => {
  const members = structOf(value, what);
  for (const name of members.keys()) {
    if (names.includes(name)) continue;
    throw new DecodeFailure(`Expected of ${what} only ${names.join(', ')}, got ${shown(name)}`);
  }
  return members;
};

/** A struct of texts. */
export const textsOf = (
  value: unknown,
  what = 'the value',
  membersMax = Number.POSITIVE_INFINITY,
  lengthMax?: number,
): ReadonlyMap<string, string> => {
  const members = structOf(value, what);
  if (members.size > membersMax) {
    throw new DecodeFailure(`Expected ${what} to have at most ${membersMax} members`);
  }
  const texts = [...members].map(
    ([name, item]) =>
      [stringOf(name, `a name in ${what}`, lengthMax), stringOf(item, `${what}.${name}`, lengthMax)] as const,
  );
  return new Map(texts);
};

/** A member that may be absent. The exact name comes first; then case does not count, as peers write it. */
export const optionalMember = (value: unknown, name: string): Value | undefined => {
  const members = structOf(value, `what holds "${name}"`);
  const exact = members.get(name);
  if (exact !== undefined) return exact;
  const wanted = name.toLowerCase();
  for (const [key, item] of members) if (key.toLowerCase() === wanted) return item;
  return undefined;
};

export const member = (value: unknown, name: string): Value => {
  const found = optionalMember(value, name);
  if (found === undefined) throw new DecodeFailure(`Expected a member "${name}"`);
  return found;
};

export const required = <T>(value: unknown, name: string, read: Read<T>): T =>
  read(member(value, name), name);

export const optional = <T>(value: unknown, name: string, read: Read<T>): T | undefined => {
  const found = optionalMember(value, name);
  return found === undefined ? undefined : read(found, name);
};
