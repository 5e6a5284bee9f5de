import type { Gone } from '../model/class.ts';
import { type Holding, holdingOf, referencesIn, without } from '../model/references.ts';
import type { AnyRecord, Schema } from './schema.ts';
import type { Table } from './table.ts';
import type { Draft, Drafting } from './transaction.ts';
import type { Tx } from './view.ts';

/** A field whose rows follow when what it names goes. */
interface Pointer {
  readonly cls: string;
  readonly field: string;
  readonly holding: Holding;
  readonly gone: Gone;
  /** The field by which the row that goes names those that name it; absent: they are found by index. */
  readonly far: string | undefined;
}

type Pointers = ReadonlyMap<string, readonly Pointer[]>;

/** By the class that is named. */
export const pointersOf = (schemas: ReadonlyMap<string, Schema>): Pointers => {
  const pointers = [...schemas.values()].flatMap((schema) =>
    Object.entries(schema.cls.fields).flatMap(([field, { type, gone }]): readonly Pointer[] => {
      const holding = holdingOf(type);
      if (holding === undefined || (gone !== 'cleared' && gone !== 'goes too')) return [];
      const far = schema.indexed.has(field) ? undefined : schema.relations.get(field)?.otherField;
      return [{ cls: schema.cls.name, field, holding, gone, far }];
    }),
  );
  return grouped(pointers, ({ holding }) => holding.of);
};

/**
 * Asked of a row that is to go because it has lost what it needs: true keeps it, with what this changed of
 * it.
 */
export type Spare = (tx: Tx, cls: string, ref: string, record: AnyRecord) => boolean;

export interface Unlinking {
  readonly tables: ReadonlyMap<string, Table>;
  readonly pointers: Pointers;
  readonly spare: Spare;
}

/**
 * Does to the rows around those that a commit deletes what their fields declare, until nothing follows any
 * more. The cost is that of the rows that name what goes, and of the commit itself.
 */
export const clearReferences = (by: Unlinking, tx: Tx, draft: Drafting): void => {
  const cleared = new Set<Draft>();
  for (;;) {
    const gone = draft.drafts().filter((one) => one.record === undefined && !cleared.has(one));
    if (gone.length === 0) return;
    for (const one of gone) cleared.add(one);
    for (const [cls, rows] of grouped(gone, (one) => one.cls)) {
      for (const row of rows) take(by, draft, row);
      for (const pointer of by.pointers.get(cls) ?? []) follow(by, tx, draft, { pointer, rows });
    }
  }
};

/** Deletes the rows that cannot be without the deleted one. */
const take = ({ tables }: Unlinking, draft: Drafting, { cls, before }: Draft): void => {
  const declared = tables.get(cls)?.schema.cls;
  for (const field of declared?.takes ?? []) {
    const type = declared?.fields[field]?.type;
    const holding = type && holdingOf(type);
    if (holding === undefined || before === undefined) continue;
    for (const ref of referencesIn(holding, before.record[field])) draft.delete(holding.of, ref);
  }
};

/** The rows that name some of `rows` by one field. */
const follow = (
  { tables, spare }: Unlinking,
  tx: Tx,
  draft: Drafting,
  { pointer, rows }: { readonly pointer: Pointer; readonly rows: readonly Draft[] },
): void => {
  const { cls, field, holding, gone, far } = pointer;
  const went = new Set(rows.map(({ ref }) => ref));
  const near = rows.flatMap(({ ref, before }) => {
    if (far !== undefined) return [before?.record[far] ?? []].flat() as string[];
    return [...(tables.get(cls)?.referring(field, ref) ?? [])].map((entry) => entry.ref);
  });
  for (const ref of new Set([...near, ...draft.drafted(cls)])) {
    const record = draft.read(cls, ref);
    if (record === undefined || !referencesIn(holding, record[field]).some((one) => went.has(one))) continue;
    if (gone === 'cleared') {
      draft.patch(cls, ref, { [field]: without(holding, record[field], (one) => went.has(one)) });
    } else if (!spare(tx, cls, ref, record)) draft.delete(cls, ref);
  }
};

const grouped = <T>(all: readonly T[], by: (one: T) => string): ReadonlyMap<string, readonly T[]> => {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const group = groups.get(by(one));
    if (group === undefined) groups.set(by(one), [one]);
    else group.push(one);
  }
  return groups;
};
