import type { AnyClass } from '../model/class.ts';
import { commitBytesMax, measured, rowBytesMax } from '../model/sizes.ts';
import { type Type, typeFault } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import { weightOf } from '../std/weight.ts';
import type { AnyRecord, Relation, Schema } from './schema.ts';
import type { Table } from './table.ts';
import { same, type Version } from './version.ts';

/** One row as this transaction would leave it. */
export interface Draft {
  readonly cls: string;
  readonly ref: string;
  readonly before: Version | undefined;
  /** Undefined: deleted. */
  record: Record<string, unknown> | undefined;
  /** `record` is a copy of this transaction's own. */
  owned: boolean;
  readonly changed: Set<string>;
  touched: boolean;
  readonly durable: boolean;
}

/** What the typed `Tx` is made of: class and reference as plain strings. */
export interface Drafting {
  read(cls: string, ref: string): AnyRecord | undefined;
  /** Rows of a class that it may have changed. */
  drafted(cls: string): Iterable<string>;
  create(cls: string, ref: string, fields: AnyRecord, durable: boolean): void;
  patch(cls: string, ref: string, changes: AnyRecord): void;
  delete(cls: string, ref: string): void;
  touch(cls: string, ref: string): void;
  /** Rows that differ from before, or were touched, in the order in which they were first changed. */
  drafts(): readonly Draft[];
  /** Bytes written so far. */
  readonly bytes: number;
}

type Tables = ReadonlyMap<string, Table>;

/**
 * What a transaction knows of a class: its rows before, and the ones that it has looked at to change them.
 */
interface RowsOfClass {
  readonly table: Table;
  readonly drafts: Map<string, Draft>;
}

/** A value from here on makes the whole row be weighed. */
const largeBytes = 65_536;

const tooLarge = (field: string, what: string, bytesMax: number): Fault =>
  new Fault('INVALID_VALUE', [field, `With it, ${what} would be larger than ${bytesMax} bytes`]);

/** The store's own, which grows with the rows at the other end. */
const isComputed = ({ fields }: AnyClass, field: string): boolean => fields[field]?.computed === true;

const invalid = (cls: string, ref: string): Fault => new Fault('HANDLE_INVALID', [cls, ref]);

/** What one transaction has come to so far. */
interface Work {
  readonly tables: Tables;
  readonly known: Map<string, RowsOfClass>;
  readonly inOrder: Draft[];
  bytes: number;
}

const rowsOf = ({ tables, known }: Work, cls: string): RowsOfClass | undefined => {
  const rows = known.get(cls);
  if (rows !== undefined) return rows;
  const table = tables.get(cls);
  if (table === undefined) return undefined;
  const opened: RowsOfClass = { table, drafts: new Map() };
  known.set(cls, opened);
  return opened;
};

const schemaOf = ({ tables }: Work, cls: string): Schema => {
  const table = tables.get(cls);
  if (table === undefined) throw new Error(`The store has no class ${cls}`);
  return table.schema;
};

const find = (work: Work, cls: string, ref: string): Draft | undefined => {
  const rows = rowsOf(work, cls);
  const drafted = rows?.drafts.get(ref);
  if (drafted !== undefined) return drafted;
  const before = rows?.table.latest(ref);
  if (rows === undefined || before === undefined) return undefined;
  const draft: Draft = {
    cls,
    ref,
    before,
    record: before.record,
    owned: false,
    changed: new Set(),
    touched: false,
    durable: before.durable,
  };
  rows.drafts.set(ref, draft);
  work.inOrder.push(draft);
  return draft;
};

const put = (draft: Draft, field: string, value: unknown): void => {
  if (draft.record === undefined || same(draft.record[field], value)) return;
  if (!draft.owned) draft.record = { ...draft.record };
  draft.owned = true;
  draft.record[field] = value;
  draft.changed.add(field);
};

const linked = (value: unknown, many: boolean): readonly string[] =>
  many ? (value as readonly string[]) : [value as string];

/** One end of a relation, as seen from the other. */
interface Link {
  readonly relation: Relation;
  /** The row at the far end; one that does not exist is left alone. */
  readonly far: string;
  readonly ref: string;
}

/** Takes `ref` into or out of the far end of a relation. */
const relink = (work: Work, { relation, far, ref }: Link, add: boolean): void => {
  const draft = find(work, relation.otherClass, far);
  if (draft?.record === undefined) return;
  if (!relation.otherMany) {
    if (add) put(draft, relation.otherField, ref);
    return;
  }
  const members = draft.record[relation.otherField] as readonly string[];
  if (add === members.includes(ref)) return;
  put(draft, relation.otherField, add ? [...members, ref] : members.filter((member) => member !== ref));
};

/**
 * Keeps the far ends of a relation in line with a field whose value changes; undefined: there is no such row.
 */
const relate = (work: Work, relation: Relation, ref: string, before: unknown, after: unknown): void => {
  const was = before === undefined ? [] : linked(before, relation.many);
  const is = after === undefined ? [] : linked(after, relation.many);
  for (const far of was) if (!is.includes(far)) relink(work, { relation, far, ref }, false);
  for (const far of is) if (!was.includes(far)) relink(work, { relation, far, ref }, true);
};

/**
 * Throws where a map has an empty key, as clients know it, and INVALID_VALUE where the field, the row with
 * it or all that is written is beyond its limit.
 */
const assertFits = (work: Work, draft: Draft, { cls }: Schema, field: string, value: unknown): void => {
  if (value instanceof Map && value.has('')) throw typeFault(`A key of ${field} is empty`);
  const bytes = measured(cls.fields[field]?.type as Type<unknown>, value, field);
  work.bytes += bytes;
  if (work.bytes > commitBytesMax) throw tooLarge(field, 'all that is written at once', commitBytesMax);
  if (bytes < largeBytes || draft.record === undefined) return;
  const row = Object.entries({ ...draft.record, [field]: value }).reduce(
    (sum, [name, one]) => sum + (isComputed(cls, name) ? 0 : weightOf(one)),
    0,
  );
  if (row > rowBytesMax) throw tooLarge(field, `the whole ${cls.name}`, rowBytesMax);
};

const change = (work: Work, draft: Draft, schema: Schema, changes: AnyRecord): void => {
  for (const [field, value] of Object.entries(changes)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(schema.defaults, field)) throw new Error(`${schema.cls.name} has no field ${field}`);
    const before = draft.record?.[field];
    if (same(before, value)) continue;
    assertFits(work, draft, schema, field, value);
    put(draft, field, value);
    const relation = schema.relations.get(field);
    if (relation !== undefined) relate(work, relation, draft.ref, before, value);
  }
};

const create = (
  work: Work,
  { cls, ref, durable }: Pick<Draft, 'cls' | 'ref' | 'durable'>,
  fields: AnyRecord,
): void => {
  const schema = schemaOf(work, cls);
  const existing = find(work, cls, ref);
  if (existing?.record !== undefined) throw new Error(`${cls}/${ref} exists already`);
  const draft: Draft = {
    cls,
    ref,
    before: existing?.before,
    record: { ...schema.defaults },
    owned: true,
    changed: new Set(schema.fieldNames),
    touched: true,
    durable: durable && schema.persist,
  };
  rowsOf(work, cls)?.drafts.set(ref, draft);
  if (existing === undefined) work.inOrder.push(draft);
  else work.inOrder[work.inOrder.indexOf(existing)] = draft;
  change(work, draft, schema, fields);
};

const remove = (work: Work, cls: string, ref: string): void => {
  const draft = find(work, cls, ref);
  if (draft?.record === undefined) return;
  for (const [field, relation] of schemaOf(work, cls).relations) {
    relate(work, relation, ref, draft.record[field], undefined);
  }
  draft.record = undefined;
};

export const drafting = (tables: Tables): Drafting => {
  const work: Work = { tables, known: new Map(), inOrder: [], bytes: 0 };
  const existing = (cls: string, ref: string): Draft => {
    const draft = find(work, cls, ref);
    if (draft?.record === undefined) throw invalid(cls, ref);
    return draft;
  };
  return {
    read: (cls, ref) => {
      const rows = rowsOf(work, cls);
      const draft = rows?.drafts.get(ref);
      return draft === undefined ? rows?.table.latest(ref)?.record : draft.record;
    },
    drafted: (cls) => work.known.get(cls)?.drafts.keys() ?? [],
    create: (cls, ref, fields, durable) => create(work, { cls, ref, durable }, fields),
    patch: (cls, ref, changes) => change(work, existing(cls, ref), schemaOf(work, cls), changes),
    delete: (cls, ref) => remove(work, cls, ref),
    touch: (cls, ref) => {
      existing(cls, ref).touched = true;
    },
    drafts: () =>
      work.inOrder.filter((draft) =>
        draft.record === undefined ? draft.before !== undefined : draft.touched || draft.changed.size > 0,
      ),
    get bytes() {
      return work.bytes;
    },
  };
};
