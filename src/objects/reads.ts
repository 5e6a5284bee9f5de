import type { ClassName } from '../model/class.ts';
import type { WireMessage } from '../model/derive.ts';
import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Entry } from '../store/version.ts';
import { parseWhere } from './where.ts';

/**
 * Implicit messages that only read, answered from committed rows. Whole records are answered as rows,
 * so that who encodes them can use what the store already has encoded.
 */
export const implicitRead = (
  message: WireMessage,
  store: Store,
): ((args: readonly unknown[]) => unknown) | undefined => {
  const cls = message.cls.name as ClassName;
  const require = (ref: unknown): AnyRecord => store.committed.require(cls, ref as Ref<any>) as AnyRecord;
  switch (message.kind) {
    case 'getter':
      return ([self]) => require(self)[message.field ?? ''];
    case 'get_record':
      return ([self]) => require(self);
    case 'get_by_uuid':
      return ([uuid]) => {
        const found = store.committed.byUuid(cls, String(uuid));
        if (found === undefined) throw new Fault('UUID_INVALID', [cls, String(uuid)]);
        return found;
      };
    case 'get_by_name_label':
      return ([label]) =>
        rowsOf(store, cls, (record) => record['name_label'] === label).map(({ ref }) => ref);
    case 'get_all':
      return () => rowsOf(store, cls).map(({ ref }) => ref);
    case 'get_all_records':
      return () => recordsOf(rowsOf(store, cls));
    case 'get_all_where':
      return ([expr]) => rowsOf(store, cls, parseWhere(String(expr))).map(({ ref }) => ref);
    case 'get_all_records_where':
      return ([expr]) => recordsOf(rowsOf(store, cls, parseWhere(String(expr))));
    default:
      return undefined;
  }
};

const recordsOf = (rows: readonly Entry[]): ReadonlyMap<string, AnyRecord | undefined> =>
  new Map(rows.map(({ ref, committed }) => [ref, committed?.record]));

/** Committed rows of a class that pass, in the order in which they were made. */
export const rowsOf = (
  store: Store,
  cls: string,
  passes: (record: AnyRecord) => boolean = () => true,
): readonly Entry[] => {
  const rows: Entry[] = [];
  for (const entry of store.tables.get(cls)?.entries.values() ?? []) {
    if (entry.committed !== undefined && passes(entry.committed.record)) rows.push(entry);
  }
  return rows;
};
