import type { Type } from '../model/types.ts';
import { readSexpr, type Sexpr, writeSexpr } from './sexpr.ts';

// A value of a field as the text of a column, as the XenAPI's database and `VM.snapshot_metadata` have it.

/** Eighteen digits, without zeros that say nothing. */
const floatText = (value: number): string => {
  if (!Number.isFinite(value)) return String(value).replace('Infinity', 'inf');
  const text = value.toPrecision(18);
  return text.includes('.') && !text.includes('e') ? text.replace(/\.?0+$/, '') : text;
};

export const columnText = (type: Type<unknown>, value: unknown): string => {
  if (type.kind === 'float') return floatText(value as number);
  if (type.kind === 'set') return writeSexpr((value as readonly unknown[]).map((one) => itemText(type, one)));
  if (type.kind !== 'map') return String(value);
  const key = type.key as Type<unknown>;
  const pairs = [...(value as ReadonlyMap<unknown, unknown>)];
  return writeSexpr(pairs.map(([name, item]) => [columnText(key, name), itemText(type, item)]));
};

const itemText = ({ item }: Type<unknown>, value: unknown): string =>
  columnText(item as Type<unknown>, value);

/** Throws an error where the text is of no such value. */
export const columnValue = (type: Type<unknown>, text: string): unknown => {
  if (type.kind === 'bool') {
    if (text === 'true' || text === 'false') return text === 'true';
    throw new Error('Neither true nor false');
  }
  if (type.kind === 'set') {
    return listIn(readSexpr(text)).map((one) => columnValue(type.item as Type<unknown>, textIn(one)));
  }
  if (type.kind !== 'map') return type.read(text, '');
  return new Map(
    listIn(readSexpr(text)).map((pair) => {
      const [key, item] = listIn(pair);
      return [
        columnValue(type.key as Type<unknown>, textIn(key)),
        columnValue(type.item as Type<unknown>, textIn(item)),
      ];
    }),
  );
};

export const textIn = (value: Sexpr | undefined): string => {
  if (typeof value !== 'string') throw new Error('Not the text of a row: a list where a text belongs');
  return value;
};

export const listIn = (value: Sexpr): readonly Sexpr[] => {
  if (typeof value === 'string') throw new Error('Not the text of a row: a text where a list belongs');
  return value;
};
