// The arguments of an emulator. Those with more than one setting are lists with commas between, so each value
// in them is written in one way only.
import type { Allowed, Said, Spelt } from '../../../std/allowed.ts';

declare const mark: unique symbol;

/** Nothing but this file makes one. */
export type Argument = string & { readonly [mark]: true };

/** Arguments that the code spells out. */
export const fixed = <const T extends readonly string[]>(...texts: T & Spelt<T>): readonly Argument[] =>
  texts as unknown as readonly Argument[];

/** Names that the code spells out, with blanks between. */
export const spelt = <const T extends readonly string[]>(...texts: T & Spelt<T>): readonly Argument[] =>
  texts.join(' ').split(' ') as readonly string[] as readonly Argument[];

/** A list of settings. */
export const option = (strings: TemplateStringsArray, ...values: readonly (Argument | number)[]): Argument =>
  String.raw({ raw: strings }, ...values) as Argument;

/** A value in a list of settings: what would end it is doubled. */
export const inList = (value: Allowed): Argument => value.replaceAll(',', ',,') as Argument;

/** An argument of its own, of which the emulator takes no part for anything else. */
export const alone = (value: Allowed): Argument => value as string as Argument;

export const json = (name: '-device' | '-blockdev' | '-netdev', value: Said): readonly Argument[] => [
  name as string as Argument,
  JSON.stringify(value) as Argument,
];
