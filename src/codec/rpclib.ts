// How OCaml's rpclib spells records, variants, options and tuples as values. Its XML flavour writes
// integers without a tag, so they come back as strings: the readers here take both flavours.
// Every reader throws a `DecodeFailure` that names `what`.

import { isDateTime, isStruct, type Struct, type Value } from '../std/value.ts';
import { DecodeFailure, shown } from './limits.ts';
import { int64Of, floatOf as parsedFloat } from './numbers.ts';

const spelled = (value: Value): string => {
  if (typeof value === 'string') return shown(value);
  if (value === null || typeof value !== 'object') return String(value);
  if (isStruct(value)) return 'a struct';
  if (isDateTime(value)) return 'a date';
  return value instanceof Uint8Array ? 'bytes' : `a list of ${value.length}`;
};

const wrong = (what: string, expected: string, value: Value): DecodeFailure =>
  new DecodeFailure(`Expected ${what} to be ${expected}, got ${spelled(value)}`);

export const stringOf = (value: Value, what = 'the value'): string => {
  if (typeof value === 'string') return value;
  throw wrong(what, 'a string', value);
};

export const intOf = (value: Value, what = 'the value'): bigint => {
  const int = typeof value === 'string' ? int64Of(value) : value;
  if (typeof int === 'bigint') return int;
  throw wrong(what, 'an integer', value);
};

export const floatOf = (value: Value, what = 'the value'): number => {
  if (typeof value === 'bigint') return Number(value);
  const float = typeof value === 'string' ? parsedFloat(value) : value;
  if (typeof float === 'number') return float;
  throw wrong(what, 'a number', value);
};

export const boolOf = (value: Value, what = 'the value'): boolean => {
  if (typeof value === 'boolean') return value;
  throw wrong(what, 'a boolean', value);
};

export const listOf = (value: Value, what = 'the value'): readonly Value[] => {
  if (Array.isArray(value)) return value as readonly Value[];
  throw wrong(what, 'a list', value);
};

/** A tuple is a list whose length is known. */
export const tupleOf = (value: Value, count: number, what = 'the value'): readonly Value[] => {
  const items = listOf(value, what);
  if (items.length === count) return items;
  throw wrong(what, `a list of ${count}`, value);
};

export const structOf = (value: Value, what = 'the value'): Struct => {
  if (isStruct(value)) return value;
  throw wrong(what, 'a struct', value);
};

/** A member that may be absent, which is how rpclib writes an optional field. Case does not count. */
export const optionalMember = (value: Value, name: string): Value | undefined => {
  const members = structOf(value, `what holds "${name}"`);
  const exact = members.get(name);
  if (exact !== undefined) return exact;
  const wanted = name.toLowerCase();
  for (const [key, item] of members) if (key.toLowerCase() === wanted) return item;
  return undefined;
};

export const member = (value: Value, name: string): Value => {
  const found = optionalMember(value, name);
  if (found === undefined) throw new DecodeFailure(`Expected a member "${name}"`);
  return found;
};

export interface Variant {
  readonly tag: string;
  /** Undefined when it was written as its bare name. Several arguments are a list. */
  readonly payload: Value | undefined;
}

/** `"Name"` or `["Name", payload]`. Peers ignore the case of names, so compare `tag` likewise. */
export const variantOf = (value: Value, what = 'the value'): Variant => {
  if (typeof value === 'string') return { tag: value, payload: undefined };
  const [tag, payload, ...more] = Array.isArray(value) ? (value as readonly Value[]) : [];
  if (typeof tag === 'string' && more.length === 0) return { tag, payload };
  throw wrong(what, 'a variant', value);
};

export const variant = (tag: string, payload?: Value): Value =>
  payload === undefined ? tag : [tag, payload];

/** Options inside lists, tuples, results and payloads: `[]` or `[x]`. */
export const optionOf = (value: Value, what = 'the value'): Value | undefined => {
  const items = listOf(value, what);
  if (items.length <= 1) return items[0];
  throw wrong(what, 'an option', value);
};

export const option = (value: Value | undefined): Value => (value === undefined ? [] : [value]);

/** The error of a XenAPI answer: a code and its parameters. */
export const errorOf = (error: Value): { readonly code: string; readonly params: readonly string[] } => {
  const [code, ...params] = listOf(error, 'the error').map((part) => stringOf(part, 'a part of the error'));
  if (code === undefined) throw new DecodeFailure('Expected the error to begin with its code');
  return { code, params };
};
