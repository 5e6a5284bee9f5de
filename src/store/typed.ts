import type { ClassName, RecordNamed } from '../model/class.ts';
import { referencesIn } from '../model/references.ts';
import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { AnyRecord } from './schema.ts';
import type { Table } from './table.ts';
import type { Drafting } from './transaction.ts';
import type { Entry } from './version.ts';
import type { Tx, View } from './view.ts';

type Tables = ReadonlyMap<string, Table>;

/** The one place where a class name and its record type are taken to agree: tables are keyed by it. */
const viewOf = (
  tables: Tables,
  read: (cls: string, ref: string) => AnyRecord | undefined,
  drafted: Drafting['drafted'] = () => [],
): View => {
  const get = <C extends ClassName>(cls: C, ref: Ref<C>): RecordNamed<C> | undefined =>
    read(cls, ref) as RecordNamed<C> | undefined;
  function* all<C extends ClassName>(cls: C): Iterable<readonly [Ref<C>, RecordNamed<C>]> {
    for (const ref of tables.get(cls)?.entries.keys() ?? []) {
      const record = read(cls, ref);
      if (record !== undefined) yield [ref as Ref<C>, record as RecordNamed<C>];
    }
  }
  const referring: View['referring'] = (cls, field, to) => {
    const found = new Set(drafted(cls));
    const table = tables.get(cls);
    const holding = table?.schema.indexed.get(field);
    for (const { ref } of table?.referring(field, to) ?? []) found.add(ref);
    return [...found].flatMap((text) => {
      const ref = text as Ref<typeof cls>;
      const record = get(cls, ref);
      if (record === undefined || holding === undefined) return [];
      return referencesIn(holding, record[field]).includes(to) ? [[ref, record] as const] : [];
    });
  };
  return {
    get,
    referring,
    require: (cls, ref) => {
      const record = get(cls, ref);
      if (record === undefined) throw new Fault('HANDLE_INVALID', [cls, ref]);
      return record;
    },
    all,
    only: (cls) => {
      for (const row of all(cls)) return row;
      throw new Error(`There is no ${cls} yet`);
    },
    byUuid: <C extends ClassName>(cls: C, uuid: string) =>
      tables.get(cls)?.byUuid(uuid) as Ref<C> | undefined,
  };
};

const readEntry =
  (tables: Tables, which: 'committed' | 'latest') =>
  (cls: string, ref: string): AnyRecord | undefined =>
    (tables.get(cls)?.entries.get(ref) as Entry | undefined)?.[which]?.record;

export const committedView = (tables: Tables): View => viewOf(tables, readEntry(tables, 'committed'));
export const latestView = (tables: Tables): View => viewOf(tables, readEntry(tables, 'latest'));

export const txView = (tables: Tables, draft: Drafting): Tx => {
  // Spelled out, as there is one for each commit and a spread of functions is dear.
  const { get, require, all, only, referring, byUuid } = viewOf(tables, draft.read, draft.drafted);
  return {
    get,
    require,
    // Rows that this transaction itself makes have no entry yet, and are not listed.
    all,
    only,
    referring,
    byUuid,
    create: (cls, ref, fields, options) =>
      draft.create(cls, ref, fields as AnyRecord, options?.durable ?? true),
    patch: (cls, ref, changes) => draft.patch(cls, ref, changes as AnyRecord),
    delete: (cls, ref) => draft.delete(cls, ref),
    touch: (cls, ref) => draft.touch(cls, ref),
  };
};
