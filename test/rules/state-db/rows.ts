import fc from 'fast-check';
import { classes } from '../../../actors/index.ts';
import { readAtOnce } from '../../../src/codec/reading.ts';
import { readingStateDb, stateDbText } from '../../../src/codec/state-db.ts';
import { dateTimeOf, type Type } from '../../../src/model/types.ts';
import { columnsOf, hasRows } from '../../../src/rules/state-db/columns.ts';
import { type ReadState, stateIn } from '../../../src/rules/state-db/read.ts';
import { databaseSchema } from '../../../src/rules/versions.ts';
import type { AnyRecord } from '../../../src/store/schema.ts';
import { schemasOf } from '../../../src/store/schema.ts';

export const schemas = schemasOf(classes);

/** A row by its class and the fields that are not at their defaults. */
export interface GivenRow {
  readonly cls: string;
  readonly ref: string;
  readonly fields: AnyRecord;
}

export const fieldsWith = (cls: string, fields: AnyRecord): AnyRecord => ({
  ...schemas.get(cls)?.defaults,
  ...fields,
});

/** The document of some rows, as the product writes it. */
export const documentOf = (
  rows: readonly GivenRow[],
  manifest = { ...databaseSchema, generation: 90 },
): string => {
  const named = [...schemas.keys()].sort();
  const tables = named.map((name) => ({
    name,
    rows: rows
      .filter(({ cls }) => cls === name)
      .map(({ cls, ref, fields }) => {
        const declared = schemas.get(cls)?.cls;
        if (declared === undefined) throw new Error(`There is no class ${cls}`);
        return { ref, created: 7, modified: 8, columns: columnsOf(declared, fieldsWith(cls, fields)) };
      }),
  }));
  return [...stateDbText(manifest, tables)].join('');
};

export const readBack = (text: string): ReadState => stateIn(readAtOnce(readingStateDb(text)), schemas);

/** What every database has. */
export const least: readonly GivenRow[] = [
  { cls: 'host', ref: 'OpaqueRef:h', fields: { uuid: 'host-1', name_label: 'one' } },
  { cls: 'pool', ref: 'OpaqueRef:p', fields: { uuid: 'pool-1', master: 'OpaqueRef:h' } },
];

/** Characters that each layer of the format has a spelling for. */
const awkward = fc.string({
  unit: fc.constantFrom(...'a%.%_tnr \t\n\r\'"\\()<>&;ü€🐘]'.split(/(?:)/u)),
  maxLength: 12,
});

export const anyValue = (type: Type<unknown>): fc.Arbitrary<unknown> => {
  if (type.kind === 'bool') return fc.boolean();
  if (type.kind === 'int') return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  if (type.kind === 'float') return fc.double({ noNaN: true }).map((value) => value + 0);
  if (type.kind === 'enum') return fc.constantFrom(...(type.values ?? []));
  if (type.kind === 'datetime')
    return fc.integer({ min: 0, max: 4_000_000_000 }).map((s) => dateTimeOf(s * 1_000));
  if (type.kind === 'ref') return fc.constantFrom('OpaqueRef:NULL', 'OpaqueRef:other');
  if (type.kind === 'set') return fc.array(anyValue(type.item as Type<unknown>), { maxLength: 3 });
  if (type.kind !== 'map') return awkward;
  const key = anyValue(type.key as Type<unknown>).filter((one) => one !== '');
  return fc
    .array(fc.tuple(key, anyValue(type.item as Type<unknown>)), { maxLength: 3 })
    .map((pairs) => new Map(pairs));
};

/** One row of each class that has rows. */
export const anyRows: fc.Arbitrary<readonly GivenRow[]> = fc.tuple(
  ...[...schemas.values()]
    .filter(({ cls }) => hasRows(cls))
    .map(({ cls }) =>
      fc
        .record(
          Object.fromEntries(Object.entries(cls.fields).map(([name, { type }]) => [name, anyValue(type)])),
        )
        .map((fields) => ({
          cls: cls.name,
          ref: `OpaqueRef:${cls.name}`,
          fields: { ...fields, uuid: cls.name },
        })),
    ),
);
