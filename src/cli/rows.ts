import type { Type } from '../model/types.ts';
import { own } from '../std/own.ts';
import type { CommandRun } from './command.ts';
import { computed } from './computed.ts';
import { isUnderWay, type Listed, type ShownField } from './fields.ts';
import { type ApiRecord, type ApiRow, type Lookup, lookupOf } from './lookup.ts';
import { spelled } from './spellings.ts';

/** A value as it is shown, with its parts where it is a set or a map. */
export interface Shown {
  readonly text: string;
  readonly items?: readonly string[];
  readonly pairs?: ReadonlyMap<string, string>;
}

/** Shows a field of an object. */
export type Show = (row: ApiRow, field: ShownField) => Promise<Shown>;

const nowhere = '<not in database>';

type Parts = string | readonly string[] | ReadonlyMap<string, string>;

/** Shows fields of a class's objects. What they name is asked for once. */
export const showOf = (of: Listed, { api }: Pick<CommandRun, 'api'>): Show => {
  const lookup = lookupOf(api);
  return async (row, field) => {
    const separator = field.marks.has('comma') ? ', ' : '; ';
    if (field.type !== undefined)
      return shownOf(await partsOf(row.record, field, field.type, lookup), separator);
    const compute = own(computed, `${of.name}.${field.name}`);
    return shownOf(compute === undefined ? '' : await compute(row, { api, lookup }), separator);
  };
};

const isMap = (parts: Parts): parts is ReadonlyMap<string, string> => parts instanceof Map;

const shownOf = (parts: Parts, separator: string): Shown => {
  if (typeof parts === 'string') return { text: parts };
  if (isMap(parts))
    return { text: [...parts].map(([key, value]) => `${key}: ${value}`).join('; '), pairs: parts };
  return { text: parts.join(separator), items: parts };
};

const partsOf = async (
  record: ApiRecord,
  field: ShownField,
  type: Type<unknown>,
  lookup: Lookup,
): Promise<Parts> => {
  const { path, over, kind } = field;
  let at = record;
  for (const [i, cls] of over.entries()) {
    const next = await lookup(cls, String(at[path[i] as string]));
    if (next === undefined) return kind === 'set' ? [nowhere] : kind === 'map' ? new Map() : nowhere;
    at = next;
  }
  const value = at[path.at(-1) as string];
  if (!isUnderWay(field)) return valueParts(value, type, lookup);
  return each([...(value as ReadonlyMap<string, unknown>).values()], type.item as Type<unknown>, lookup);
};

const valueParts = async (value: unknown, type: Type<unknown>, lookup: Lookup): Promise<Parts> => {
  if (type.kind === 'set') return each(value as readonly unknown[], type.item as Type<unknown>, lookup);
  if (type.kind !== 'map') return textOf(value, type, lookup);
  const pairs: [string, string][] = [];
  for (const [key, one] of value as ReadonlyMap<unknown, unknown>) {
    const name = await textOf(key, type.key as Type<unknown>, lookup);
    pairs.push([name, await textOf(one, type.item as Type<unknown>, lookup)]);
  }
  return new Map(pairs);
};

const each = async (
  values: readonly unknown[],
  type: Type<unknown>,
  lookup: Lookup,
): Promise<readonly string[]> => {
  const texts: string[] = [];
  for (const value of values) texts.push(await textOf(value, type, lookup));
  return texts;
};

const textOf = async (value: unknown, type: Type<unknown>, lookup: Lookup): Promise<string> => {
  switch (type.kind) {
    case 'float':
      return floatText(value as number);
    case 'enum':
      return spelled(type.name, String(value));
    case 'ref':
      return String((await lookup(type.of as string, String(value)))?.['uuid'] ?? nowhere);
    case 'set':
      return (await each(value as readonly unknown[], type.item as Type<unknown>, lookup)).join('; ');
    default:
      return String(value);
  }
};

export const floatText = (value: number): string =>
  Number.isFinite(value) ? value.toFixed(3) : String(value);
