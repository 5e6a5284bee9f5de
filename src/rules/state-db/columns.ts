import { columnText, columnValue } from '../../codec/column-text.ts';
import type { StateRow } from '../../codec/state-db.ts';
import type { AnyClass, Field } from '../../model/class.ts';
import { measured } from '../../model/sizes.ts';
import type { AnyRecord, Schema } from '../../store/schema.ts';

/** Whether xapi knows of a class: those of ours alone are not in its schema. */
export const isCarried = (cls: AnyClass): boolean => cls.internal !== true;

/** Whether xapi keeps rows of a class; tables of the others are empty. Nobody has rows of a removed one. */
export const hasRows = (cls: AnyClass): boolean =>
  isCarried(cls) && cls.inDatabase !== false && cls.persist !== false && cls.removed !== true;

const carried = ({ fields }: AnyClass): readonly (readonly [name: string, field: Field, column: string])[] =>
  Object.entries(fields).flatMap(([name, field]) =>
    field.ours === true ? [] : [[name, field, field.column ?? name] as const],
  );

/** From the first character on that XML cannot hold. */
const unsayable = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}][\s\S]*/u;

/** Texts are cut where they cannot be written; what cannot be read back is worse than what is short. */
const sayable = (value: unknown): unknown => {
  if (typeof value === 'string') return value.replace(unsayable, '');
  if (Array.isArray(value)) return value.map(sayable);
  if (!(value instanceof Map)) return value;
  return new Map(
    [...value].map(([key, item]) => [sayable(key), sayable(item)] as const).filter(([key]) => key !== ''),
  );
};

/** A row as xapi keeps it: every column, also of what lives in memory only. */
export const columnsOf = (cls: AnyClass, record: AnyRecord): ReadonlyMap<string, string> =>
  new Map(
    carried(cls).map(
      ([name, { type }, column]) => [column, columnText(type, sayable(record[name]))] as const,
    ),
  );

export interface ReadRow {
  readonly fields: AnyRecord;
  /** Columns that no field of the class has. */
  readonly unknown: readonly string[];
}

/**
 * What of a row is kept: fields that live in memory only, that the store reckons itself or that are removed
 * from the XenAPI are at their defaults. Throws an error that names the column whose text is no value of its
 * field.
 */
export const fieldsOf = ({ cls, stored }: Schema, { columns }: StateRow): ReadRow => {
  const known = carried(cls);
  const fields = known.flatMap(([name, field, column]) => {
    const text = columns.get(column);
    if (text === undefined || !stored.has(name) || field.removed === true) return [];
    return [[name, readColumn(field, column, text)] as const];
  });
  const names = new Set(known.map(([, , column]) => column));
  return {
    fields: Object.fromEntries(fields),
    unknown: [...columns.keys()].filter((one) => !names.has(one)),
  };
};

const readColumn = ({ type }: Field, column: string, text: string): unknown => {
  try {
    const value = columnValue(type, text);
    // Old releases wrote keys of no length, which no client can set.
    if (value instanceof Map) value.delete('');
    measured(type, value, column);
    return value;
  } catch (error) {
    throw new Error(`${column}: ${(error as Error).message}`);
  }
};
