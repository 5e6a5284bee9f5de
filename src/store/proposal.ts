import type { Position } from './epochs.ts';
import type { AnyRecord, Schema } from './schema.ts';
import type { Table } from './table.ts';
import { type Drafting, drafting } from './transaction.ts';
import { txView } from './typed.ts';
import type { Tx } from './view.ts';

/** A commit that another host decides upon: what it was made from and what it shall change. Plain data. */
export interface Proposal {
  /** What the host had when it made it. Nothing that was read may have changed since. */
  readonly base: Position;
  readonly reads: readonly ProposedRead[];
  /** Classes of which all rows were looked at. */
  readonly scans: readonly string[];
  /** By which references rows were looked up; those that were found are among `reads`. Absent: by none. */
  readonly lookups?: readonly ProposedLookup[];
  /** In the order in which they were asked for, before relations and derived fields. */
  readonly changes: readonly ProposedChange[];
}

export type ProposedLookup = readonly [cls: string, field: string, to: string];

export type ProposedRead = readonly [cls: string, ref: string, existed: boolean];

export type ProposedChange =
  | {
      readonly op: 'create';
      readonly cls: string;
      readonly ref: string;
      readonly fields: AnyRecord;
      readonly durable: boolean;
    }
  | { readonly op: 'patch'; readonly cls: string; readonly ref: string; readonly fields: AnyRecord }
  | { readonly op: 'delete' | 'touch'; readonly cls: string; readonly ref: string };

/** The generation of the commit, or the one to wait for before it is made again. */
export type Verdict = { readonly generation: number } | { readonly stale: number };

/** Who decides. */
export interface Authority {
  /** `taken` aborts once this host decides: whoever did before need not be waited for. */
  propose(proposal: Proposal, taken: AbortSignal): Promise<Verdict>;
}

export const proposalReadsMax = 262_144;
export const proposalChangesMax = 16_384;
/** Characters and values in all changed fields of a proposal. */
export const proposalSizeMax = 16_777_216;
export const proposalNameMax = 1_024;

/** A proposal that has not the shape of one. */
export class ProposalRefused extends Error {
  constructor(message: string) {
    super(`The proposal is refused: ${message}`);
    this.name = 'ProposalRefused';
  }
}

type Tables = ReadonlyMap<string, Table>;

export interface Recording {
  readonly tx: Tx;
  /** Undefined when nothing would change. */
  proposal(base: Position): Proposal | undefined;
}

/** A commit in the making that remembers what is read and what is asked for. */
export const recording = (tables: Tables): Recording => {
  const draft = drafting(tables);
  const reads = new Map<string, Map<string, boolean>>();
  const scans = new Set<string>();
  const lookups = new Map<string, ProposedLookup>();
  const changes: ProposedChange[] = [];

  const read: Drafting['read'] = (cls, ref) => {
    const ofClass = reads.get(cls) ?? new Map<string, boolean>();
    reads.set(cls, ofClass.set(ref, tables.get(cls)?.latest(ref) !== undefined));
    return draft.read(cls, ref);
  };
  const unrecorded = txView(tables, draft);
  const recorded = txView(tables, { ...draft, read });
  const tx: Tx = {
    ...recorded,
    all: (cls) => {
      scans.add(cls);
      return unrecorded.all(cls);
    },
    referring: (cls, field, to) => {
      lookups.set(`${cls}.${field} ${to}`, [cls, field, to]);
      return recorded.referring(cls, field, to);
    },
    byUuid: (cls, uuid) => {
      const ref = unrecorded.byUuid(cls, uuid);
      if (ref === undefined) scans.add(cls);
      else read(cls, ref);
      return ref;
    },
    create: (cls, ref, fields, options) => {
      unrecorded.create(cls, ref, fields, options);
      changes.push({ op: 'create', cls, ref, fields: given(fields), durable: options?.durable ?? true });
    },
    patch: (cls, ref, fields) => {
      unrecorded.patch(cls, ref, fields);
      changes.push({ op: 'patch', cls, ref, fields: given(fields) });
    },
    delete: (cls, ref) => {
      unrecorded.delete(cls, ref);
      changes.push({ op: 'delete', cls, ref });
    },
    touch: (cls, ref) => {
      unrecorded.touch(cls, ref);
      changes.push({ op: 'touch', cls, ref });
    },
  };
  return {
    tx,
    proposal: (base) => {
      if (draft.drafts().length === 0) return undefined;
      const listed = [...reads].flatMap(([cls, rows]) =>
        [...rows].map(([ref, existed]) => [cls, ref, existed] as const),
      );
      return { base, reads: listed, scans: [...scans], lookups: [...lookups.values()], changes };
    },
  };
};

const given = (fields: object): AnyRecord =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** Nothing that the proposal was made from has changed since. */
export const isCurrent = (tables: Tables, { base, reads, scans, lookups = [] }: Proposal): boolean =>
  reads.every(([cls, ref, existed]) => {
    const latest = tables.get(cls)?.latest(ref);
    return latest === undefined ? !existed : existed && latest.modified <= base.generation;
  }) &&
  scans.every((cls) => (tables.get(cls)?.newest ?? 0) <= base.generation) &&
  lookups.every(([cls, field, to]) => noneCame(tables.get(cls), field, to, base.generation));

/** No row has begun to refer to `to` since. One that has ceased to was read, so that is known by itself. */
const noneCame = (table: Table | undefined, field: string, to: string, generation: number): boolean => {
  for (const { latest } of table?.referring(field, to) ?? []) {
    if (latest?.record[field] === to && latest.modified > generation) return false;
  }
  return true;
};

/** Does to `tx` what the proposal asks for. */
export const replay = (tx: Tx, { changes }: Proposal): void => {
  for (const change of changes) {
    const cls = change.cls as never;
    const ref = change.ref as never;
    if (change.op === 'create') tx.create(cls, ref, change.fields as never, { durable: change.durable });
    else if (change.op === 'patch') tx.patch(cls, ref, change.fields as never);
    else tx[change.op](cls, ref);
  }
};

const refuse = (why: string): never => {
  throw new ProposalRefused(why);
};

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= proposalNameMax;
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Map);

/** What a peer sent, once it is known to be a proposal about classes and fields that there are. */
export const checkProposal = (schemas: ReadonlyMap<string, Schema>, value: unknown): Proposal => {
  if (!isObject(value)) return refuse('it is no record');
  const { base, reads, scans, lookups = [], changes } = value;
  const counts = isObject(base) ? [base['epoch'], base['generation']] : [];
  if (counts.length === 0 || !counts.every((one) => Number.isSafeInteger(one)))
    refuse('its base is no position');
  if (!Array.isArray(reads) || reads.length > proposalReadsMax)
    return refuse('its reads are no list, or too many');
  if (!Array.isArray(scans) || scans.length > schemas.size)
    return refuse('its scans are no list, or too many');
  if (!Array.isArray(changes) || changes.length === 0 || changes.length > proposalChangesMax) {
    return refuse(`it has not between 1 and ${proposalChangesMax} changes`);
  }
  const known = (cls: unknown, ref: unknown): boolean => isText(cls) && schemas.has(cls) && isText(ref);
  for (const one of reads) {
    if (!Array.isArray(one) || !known(one[0], one[1]) || typeof one[2] !== 'boolean') {
      refuse('one of its reads is not of a row');
    }
  }
  if (!scans.every((cls) => known(cls, ''))) refuse('it looks at a class that there is not');
  const budget = { left: proposalSizeMax };
  if (!Array.isArray(lookups) || lookups.length > proposalReadsMax) {
    refuse('its lookups are no list, or too many');
  }
  for (const one of lookups as readonly unknown[]) {
    if (!Array.isArray(one) || !known(one[0], one[2]) || !schemas.get(one[0])?.indexed.has(one[1])) {
      refuse('one of its lookups is by no field that rows are found by');
    }
  }
  for (const change of changes) {
    if (!isObject(change) || !known(change['cls'], change['ref'])) {
      return refuse('one of its changes is of no class that there is');
    }
    checkChange(schemas.get(change['cls'] as string) as Schema, change, budget);
  }
  return value as unknown as Proposal;
};

const checkChange = (
  schema: Schema,
  { op, ref, fields, durable }: Readonly<Record<string, unknown>>,
  budget: { left: number },
): void => {
  const name = `${schema.cls.name}/${ref}`;
  if (op === 'delete' || op === 'touch') return;
  if (op !== 'create' && op !== 'patch') refuse(`${name} is to be changed in a way that there is not`);
  if (op === 'create' && typeof durable !== 'boolean') refuse(`it does not say whether ${name} is durable`);
  if (!isObject(fields)) throw new ProposalRefused(`the fields of ${name} are no record`);
  for (const [field, value] of Object.entries(fields)) {
    if (!Object.hasOwn(schema.defaults, field)) refuse(`${schema.cls.name} has no field ${field}`);
    if (!hasShape(value, schema.defaults[field], budget)) refuse(`${field} of ${name} has a wrong value`);
    if (budget.left < 0) refuse(`it is larger than ${proposalSizeMax}`);
  }
};

const int64Max = 2n ** 63n - 1n;

/** The value is of the kind of the field's default, down to what can be written to disk. */
const hasShape = (value: unknown, like: unknown, budget: { left: number }): boolean => {
  if (Array.isArray(like) !== Array.isArray(value) || like instanceof Map !== value instanceof Map)
    return false;
  return like !== undefined && like !== null && typeof value !== typeof like
    ? false
    : isPlain(value, budget, 0);
};

const depthMax = 16;

const isPlain = (value: unknown, budget: { left: number }, depth: number): boolean => {
  budget.left -= typeof value === 'string' ? value.length + 1 : 1;
  if (budget.left < 0) return true;
  if (typeof value === 'bigint') return value <= int64Max && value >= -int64Max - 1n;
  if (['string', 'number', 'boolean'].includes(typeof value) || value === null || value instanceof Date)
    return true;
  if (depth === depthMax) return false;
  const inside = (one: unknown): boolean => isPlain(one, budget, depth + 1);
  if (Array.isArray(value)) return value.every(inside);
  if (value instanceof Map) return [...value].every(([key, one]) => inside(key) && inside(one));
  return isObject(value) && Object.values(value).every(inside);
};
