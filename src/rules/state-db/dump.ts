import { type StateRow, type StateTable, stateDbText } from '../../codec/state-db.ts';
import type { Store } from '../../store/store.ts';
import type { Version } from '../../store/version.ts';
import { databaseSchema } from '../versions.ts';
import { columnsOf, hasRows, isCarried } from './columns.ts';

/**
 * The pool's database as readers see it at this moment, in the form that xapi reads: passwords of storage and
 * directories are in it in plain text. The pieces may be taken later.
 */
export const stateDump = (store: Pick<Store, 'tables' | 'generation'>): Generator<string> => {
  const tables = [...store.tables.values()]
    .filter(({ schema }) => isCarried(schema.cls))
    .map(({ schema, entries }) => {
      const rows = hasRows(schema.cls)
        ? [...entries.values()].flatMap(({ ref, committed }) =>
            committed ? [[ref, committed] as const] : [],
          )
        : [];
      return { schema, rows: rows.toSorted(byName) };
    })
    .map(
      ({ schema: { cls }, rows }): StateTable => ({
        name: cls.name,
        rows: {
          *[Symbol.iterator]() {
            for (const [ref, version] of rows) yield rowOf(ref, version, columnsOf(cls, version.record));
          },
        },
      }),
    );
  const manifest = { ...databaseSchema, generation: store.generation };
  return stateDbText(
    manifest,
    tables.toSorted((one, other) => byName([one.name], [other.name])),
  );
};

const byName = ([one]: readonly [string, ...unknown[]], [other]: readonly [string, ...unknown[]]): number =>
  one < other ? -1 : one > other ? 1 : 0;

const rowOf = (ref: string, { created, modified }: Version, columns: StateRow['columns']): StateRow => ({
  ...{ ref, created, modified, columns },
});
