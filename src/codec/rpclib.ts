// How OCaml's rpclib spells variants, options and tuples as values. Every reader throws a `DecodeFailure`
// that names `what`.

import { DecodeFailure } from '../std/decode-failure.ts';
import { listOf, stringOf, unfit } from '../std/reader.ts';
import type { Value } from '../std/value.ts';

export interface Variant {
  readonly tag: string;
  /** Undefined when it was written as its bare name. Several arguments are a list. */
  readonly payload: Value | undefined;
}

/** `"Name"` or `["Name", payload]`. Peers ignore the case of names, so compare `tag` likewise. */
export const variantOf = (value: unknown, what = 'the value'): Variant => {
  if (typeof value === 'string') return { tag: value, payload: undefined };
  const [tag, payload, ...more] = Array.isArray(value) ? (value as readonly Value[]) : [];
  if (typeof tag === 'string' && more.length === 0) return { tag, payload };
  throw unfit(what, 'a variant', value);
};

export const variant = (tag: string, payload?: Value): Value =>
  payload === undefined ? tag : [tag, payload];

/** Options inside lists, tuples, results and payloads: `[]` or `[x]`. */
export const optionOf = (value: unknown, what = 'the value'): Value | undefined => {
  const items = listOf(value, what);
  if (items.length <= 1) return items[0];
  throw unfit(what, 'an option', value);
};

export const option = (value: Value | undefined): Value => (value === undefined ? [] : [value]);

/** The error of a XenAPI answer: a code and its parameters. */
export const errorOf = (error: unknown): { readonly code: string; readonly params: readonly string[] } => {
  const [code, ...params] = listOf(error, 'the error').map((part) => stringOf(part, 'a part of the error'));
  if (code === undefined) throw new DecodeFailure('Expected the error to begin with its code');
  return { code, params };
};
