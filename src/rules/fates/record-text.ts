import { readSexpr, type Sexpr, writeSexpr } from '../../codec/sexpr.ts';
import type { AnyClass, ClassName, RecordNamed } from '../../model/class.ts';
import type { Type } from '../../model/types.ts';

// A row as text, in the form that the XenAPI keeps in `VM.snapshot_metadata`: pairs of column and value.

/** Eighteen digits, without zeros that say nothing. */
const floatText = (value: number): string => {
  if (!Number.isFinite(value)) return String(value).replace('Infinity', 'inf');
  const text = value.toPrecision(18);
  return text.includes('.') && !text.includes('e') ? text.replace(/\.?0+$/, '') : text;
};

const valueText = (type: Type<unknown>, value: unknown): string => {
  if (type.kind === 'float') return floatText(value as number);
  if (type.kind === 'set') return writeSexpr((value as readonly unknown[]).map((one) => itemText(type, one)));
  if (type.kind !== 'map') return String(value);
  const key = type.key as Type<unknown>;
  const pairs = [...(value as ReadonlyMap<unknown, unknown>)];
  return writeSexpr(pairs.map(([name, item]) => [valueText(key, name), itemText(type, item)]));
};

const itemText = ({ item }: Type<unknown>, value: unknown): string => valueText(item as Type<unknown>, value);

export const recordText = <C extends ClassName>(
  cls: AnyClass & { readonly name: C },
  record: RecordNamed<C>,
): string =>
  writeSexpr(
    Object.entries(cls.fields).map(([name, { type, column }]) => [
      column ?? name,
      valueText(type, (record as Readonly<Record<string, unknown>>)[name]),
    ]),
  );

const textOf = (value: Sexpr | undefined): string => {
  if (typeof value !== 'string') throw new Error('Not the text of a row');
  return value;
};

const listOf = (value: Sexpr): readonly Sexpr[] => {
  if (typeof value === 'string') throw new Error('Not the text of a row');
  return value;
};

const readValue = (type: Type<unknown>, text: string): unknown => {
  if (type.kind === 'bool') return text === 'true';
  if (type.kind === 'set') {
    return listOf(readSexpr(text)).map((one) => readValue(type.item as Type<unknown>, textOf(one)));
  }
  if (type.kind !== 'map') return type.read(text, '');
  return new Map(
    listOf(readSexpr(text)).map((pair) => {
      const [key, item] = listOf(pair);
      return [
        readValue(type.key as Type<unknown>, textOf(key)),
        readValue(type.item as Type<unknown>, textOf(item)),
      ];
    }),
  );
};

/**
 * Columns that the class does not have are passed over. Throws an error where this is no row of the class.
 */
export const readRecordText = <C extends ClassName>(
  cls: AnyClass & { readonly name: C },
  text: string,
): Partial<RecordNamed<C>> => {
  const columns = new Map(listOf(readSexpr(text)).map((pair) => [textOf(pair[0]), textOf(pair[1])] as const));
  return Object.fromEntries(
    Object.entries(cls.fields).flatMap(([name, { type, column }]) => {
      const value = columns.get(column ?? name);
      return value === undefined ? [] : [[name, readValue(type, value)]];
    }),
  ) as Partial<RecordNamed<C>>;
};
