import { columnText, columnValue, listIn, textIn } from '../../codec/column-text.ts';
import { readSexpr, writeSexpr } from '../../codec/sexpr.ts';
import type { AnyClass, ClassName, RecordNamed } from '../../model/class.ts';

// A row as text, in the form that the XenAPI keeps in `VM.snapshot_metadata`: pairs of column and value.

export const recordText = <C extends ClassName>(
  cls: AnyClass & { readonly name: C },
  record: RecordNamed<C>,
): string =>
  writeSexpr(
    Object.entries(cls.fields).map(([name, { type, column }]) => [
      column ?? name,
      columnText(type, (record as Readonly<Record<string, unknown>>)[name]),
    ]),
  );

/**
 * Columns that the class does not have are passed over. Throws an error where this is no row of the class.
 */
export const readRecordText = <C extends ClassName>(
  cls: AnyClass & { readonly name: C },
  text: string,
): Partial<RecordNamed<C>> => {
  const columns = new Map(listIn(readSexpr(text)).map((pair) => [textIn(pair[0]), textIn(pair[1])] as const));
  return Object.fromEntries(
    Object.entries(cls.fields).flatMap(([name, { type, column }]) => {
      const value = columns.get(column ?? name);
      return value === undefined ? [] : [[name, columnValue(type, value)]];
    }),
  ) as Partial<RecordNamed<C>>;
};
