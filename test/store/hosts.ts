import { Packr } from 'msgpackr';
import { silentLog } from '../../src/std/log.ts';
import type { Batch } from '../../src/store/batch.ts';
import { NotLeading } from '../../src/store/committing.ts';
import type { Durable, Loaded, WriteGroup } from '../../src/store/durable.ts';
import type { Position } from '../../src/store/epochs.ts';
import { firstEpochs } from '../../src/store/epochs.ts';
import type { Authority } from '../../src/store/proposal.ts';
import type { Replica } from '../../src/store/replica.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { classes } from './classes.ts';
import { type ToyLog, toyLog } from './toy-log.ts';

// The classes of these tests are not those of the product, so their names are not in its types.
export type Loose = any;
/** Rows, replica and a log of its own, for brevity as one. */
export type Host = Store & Replica & ToyLog & Loose;

/** A disk in memory that a host can be started from again: it has whole groups only. */
export interface Disk extends Durable {
  /** What was written last, as a kill would leave it. */
  groups: number;
  /** Runs before each write; what it throws is the disk's refusal. */
  before: (group: WriteGroup) => unknown;
}

export const disk = (): Disk => {
  const rows = new Map<string, Loaded['rows'] extends Iterable<infer R> ? R : never>();
  let tombstones: Loaded['tombstones'] = [];
  let mark: Partial<WriteGroup> = {};
  const made: Disk = {
    groups: 0,
    before: () => {},
    load: () => ({
      rows: [...rows.values()],
      tombstones,
      horizon: mark.horizon ?? 0,
      generation: (mark.follows === true ? mark.generation : mark.generationMax) ?? 0,
      reserved: mark.generationMax ?? 0,
      epochs: mark.epochs ?? firstEpochs,
      follows: mark.follows === true,
    }),
    write: async (groups) => {
      for (const group of groups) await made.before(group);
      for (const group of groups) {
        for (const put of group.puts) rows.set(`${put.cls}/${put.ref}`, put);
        for (const { cls, ref } of group.deletes) rows.delete(`${cls}/${ref}`);
        const kept = group.afresh === true ? [] : tombstones;
        tombstones = [...kept, ...group.tombstones].filter((one) => one.generation > group.horizon);
        mark = group;
        made.groups += 1;
      }
    },
    close: async () => {},
  };
  return made;
};

/** Each shelf says in its name how many books it has, as a derived field would. */
const derive = (tx: Loose, drafts: readonly Loose[]): void => {
  for (const { cls, ref } of [...drafts]) {
    if (cls !== 'shelf') continue;
    const shelf = tx.get('shelf', ref);
    if (shelf !== undefined) tx.patch('shelf', ref, { name_label: `${shelf.books.length} books` });
  }
};

export const host = (durable: Durable = disk(), more: object = {}): Host => {
  const { store, replica } = openStore({ classes, durable, log: silentLog, derive, ...more });
  const log = toyLog();
  const parts = [
    store,
    replica,
    log,
    { lead: (epoch: number) => replica.lead(epoch, log), leadWith: replica.lead },
  ];
  return Object.defineProperties({}, Object.assign({}, ...parts.map(Object.getOwnPropertyDescriptors)));
};

const packr = new Packr({ int64AsType: 'bigint', mapsAsObjects: false } as never);

/** What arrives at the other side of a link. */
export const sent = <T>(value: T): T => packr.unpack(packr.pack(value));

/** A wait of its own for each message of a link. */
export type Delay = () => Promise<unknown>;

/** Whoever leads; one that no longer does has done nothing, so that the next may be asked. */
export const authority = (leader: () => Host, delay: Delay = async () => {}): Authority => {
  const propose: Authority['propose'] = async (proposal, taken) => {
    const asked = leader();
    const packed = sent(proposal);
    await delay();
    try {
      const verdict = sent(await asked.decide(packed));
      await delay();
      return verdict;
    } catch (error) {
      if (error instanceof NotLeading && leader() !== asked) return propose(proposal, taken);
      throw error;
    }
  };
  return { propose };
};

export interface Link {
  /** Settles once the member has all that the leader had. */
  readonly ready: Promise<void>;
  /** How the member came up to date. */
  readonly how: () => 'batch' | 'copy' | undefined;
  /** Resolves when nothing of it is under way any more. */
  end(): Promise<void>;
}

/** Brings a member up to date and keeps it so: batches in order, each acknowledged. */
export const link = (leader: Host, member: Host, name: string, delay: Delay = async () => {}): Link => {
  let ended = false;
  let how: 'batch' | 'copy' | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let unsubscribe = (): unknown => undefined;
  const took = async (taken: Promise<Position>): Promise<void> => {
    const { generation } = await taken;
    await delay();
    if (!ended) leader.acknowledged(name, generation);
  };
  const settled = (): void => {
    const { generation } = leader;
    last = last.then(delay).then(() => (ended ? undefined : member.acknowledge(generation)));
  };
  /** What it was given as it began may be what the next batch brings. */
  let given = 0;
  const deliver = (batch: Batch): void => {
    if (batch.generation <= given) return;
    const packed = sent(batch);
    last = last.then(delay).then(() => (ended ? undefined : took(member.apply(packed))));
  };
  const begin = async (): Promise<void> => {
    const missed = leader.since(sent(member.position));
    const [noBatches, unwatch] = [leader.batches(deliver), leader.watch(settled)];
    unsubscribe = () => [noBatches(), unwatch()];
    how = missed === undefined ? 'copy' : 'batch';
    given = (missed ?? leader.position).generation;
    const pieces = missed === undefined ? [...leader.copy()].map(sent) : [];
    last = took(missed === undefined ? member.replace(pieces) : member.apply(sent(missed)));
    settled();
    await last;
    await member.reached(missed?.generation ?? pieces[0]?.generation ?? 0);
  };
  const ready = begin();
  return {
    ready,
    how: () => how,
    end: async () => {
      ended = true;
      unsubscribe();
      await last;
    },
  };
};

/** Makes `member` follow `leader`; resolves once it has everything. */
export const following = async (leader: Host, member: Host, name: string, delay?: Delay): Promise<Link> => {
  await member.follow(authority(() => leader, delay));
  const made = link(leader, member, name, delay);
  await made.ready;
  return made;
};

const text = (value: unknown): string =>
  JSON.stringify(value, (_, one) =>
    typeof one === 'bigint' ? `${one}n` : one instanceof Map ? [...one].sort() : one,
  );

/** All rows with their generations. */
export const rowsOf = (store: Store): readonly string[] =>
  [...store.tables.values()]
    .flatMap(({ entries }) => [...entries.values()])
    .flatMap(({ cls, ref, committed }) => {
      if (committed === undefined) return [];
      const { record, created, modified, durable } = committed;
      const fields = Object.fromEntries(Object.entries(record).sort());
      return [`${cls}/${ref} ${created} ${modified} ${durable} ${text(fields)}`];
    })
    .sort();
