import { expect } from 'vitest';
import type { AnyClass } from '../../src/model/class.ts';
import type { Fate } from '../../src/rules/fates/fate.ts';
import type { AnyRecord } from '../../src/store/schema.ts';
import { defaultRow } from './distinct.ts';

/** What the operation makes of fields by itself, as the test has it. */
export type Made = Readonly<Record<string, (value: any) => void>>;

export interface Compared {
  readonly cls: AnyClass;
  readonly table: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly origin: string;
  readonly original: AnyRecord;
  readonly before?: AnyRecord;
  readonly result: AnyRecord;
  readonly made: Made;
}

/** Each cell of a table against what has become of the row. */
export const compare = ({ cls, table, origin, original, before, result, made: expected }: Compared): void => {
  const usual = defaultRow(cls);
  expect(Object.keys(table).sort()).toEqual(Object.keys(cls.fields).sort());
  for (const [field, cells] of Object.entries(table)) {
    const fate = cells[origin] as Fate;
    const where = `${cls.name}.${field} by ${origin}`;
    const wanted = { copied: original, default: usual, kept: before }[fate as 'copied'];
    if (fate === 'made') {
      if (expected[field] === undefined) throw new Error(`${where}: say what it is`);
      expected[field](result[field]);
    } else if (fate !== 'derived') expect(result[field], where).toEqual(wanted?.[field]);
    else
      expect(
        cls.fields[field]?.computed === true || /^(allowed_operations|memory_overhead)$/.test(field),
      ).toBe(true);
  }
};

export const is = (wanted: unknown) => (value: unknown) => expect(value).toEqual(wanted);
export const fresh = (old: unknown) => (value: unknown) => {
  expect(value).not.toEqual(old);
  expect(String(value).length).toBeGreaterThan(5);
};
