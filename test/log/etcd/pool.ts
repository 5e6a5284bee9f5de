import type { Etcd } from '../../../src/drivers/etcd.ts';
import { digestOf } from '../../../src/log/etcd/digest.ts';
import { etcdLog } from '../../../src/log/etcd/etcd-log.ts';
import type { EtcdLogLimits } from '../../../src/log/etcd/limits.ts';
import type { Ref } from '../../../src/model/types.ts';
import { memoryEtcd } from '../../../src/simulation/etcd/memory-etcd.ts';
import type { Life } from '../../../src/simulation/life.ts';
import { memoryDurable } from '../../../src/simulation/memory-durable.ts';
import { asFault } from '../../../src/std/fault.ts';
import { silentLog } from '../../../src/std/log.ts';
import { LogFenced } from '../../../src/store/appending.ts';
import type { Durable } from '../../../src/store/durable.ts';
import type { Leadership, Log } from '../../../src/store/log.ts';
import type { Replica } from '../../../src/store/replica.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { simulated } from '../../simulation/simulated.ts';
import { classes } from '../../store/classes.ts';

// A pool as small as it can be: on each host a store, its replica and the log in a simulated cluster, and the few
// lines that do what the log says. Writes are books with names of their own, so that each can be looked for.

/** Parts of a host as they are put together, for bugs that are put in on purpose. */
export interface Bugs {
  readonly etcd?: (etcd: Etcd, life: Life) => Etcd;
  readonly replica?: (replica: Replica) => Replica;
  readonly log?: (log: Log) => Log;
  readonly limits?: Partial<EtcdLogLimits>;
  /** What the log takes for the time. */
  readonly clock?: (life: Life) => Life;
}

export interface PoolHost {
  readonly name: string;
  readonly life: Pick<Life, 'state' | 'after'>;
  readonly store: Store;
  readonly replica: Replica;
  readonly log: Log;
  /** The last word of the log. */
  readonly now: Leadership;
  readonly leads: boolean;
  readonly follows: boolean;
  /** Told whenever the part that it plays may have changed. */
  readonly onRole: (told: () => void) => () => void;
}

/** One whose process can be held up and ended. */
export interface SimulatedHost extends PoolHost {
  readonly life: Life;
}

export type Outcome = 'acknowledged' | 'refused' | 'unknown';

export interface WrittenBook {
  readonly name: string;
  outcome: Outcome | undefined;
  why: string;
}

export const uuid = '11111111-2222-3333-4444-555555555555';

export interface PoolOptions {
  readonly hosts: number;
  readonly bugs?: Bugs;
  readonly limits?: Partial<EtcdLogLimits>;
  readonly operationsMax?: number;
}

export const poolOf = (seed: string, { hosts: count, bugs = {}, limits, operationsMax }: PoolOptions) => {
  const { clock, loop, random, life: lifeNamed } = simulated(seed);
  const cluster = memoryEtcd({
    clock,
    random: random.split('etcd'),
    travelMs: [0.1, 3],
    ...(operationsMax !== undefined && { operationsMax }),
  });
  const names = Array.from({ length: count }, (_, index) => `h${index}`);
  const disks = new Map(
    names.map((name) => [name, memoryDurable({ random: random.split(name), writeMs: [0.1, 5] })]),
  );
  const running = new Map<string, SimulatedHost>();
  /** Hosts whose rows were found to differ. */
  const differed: string[] = [];
  const books: WrittenBook[] = [];
  let starts = 0;

  const start = (name: string, mayBegin = name === 'h0'): SimulatedHost => {
    starts += 1;
    const life = lifeNamed(name);
    const durable = (disks.get(name) as ReturnType<typeof memoryDurable>).of(life) as Durable;
    const { store, replica } = openStore({ classes, durable, log: silentLog });
    const { etcd = same, clock: clockOf = same, replica: replicaBug = same, log: logBug = same } = bugs;
    const used = replicaBug(replica);
    const log = logBug(
      etcdLog({
        ...{
          pool: uuid,
          host: name as Ref<'host'>,
          incarnation: `${name}-${starts}`,
          journal: silentLog,
        },
        etcd: etcd(cluster.client(life), life),
        clock: clockOf(life),
        replica: used,
        mayBegin: () => mayBegin,
        mayLead: () => true,
        epoch: () => replica.epoch,
        onCluster: async () => {},
        differed: () => void differed.push(name),
        ...(limits && { limits }),
      }),
    );
    const host = playing({ name, life, store, replica: used, log });
    running.set(name, host);
    return host;
  };

  /** Writes a book on a host, if it leads, and notes how that came out. A shelf comes with it, and one of before goes. */
  const write = (host: SimulatedHost, name = `book ${books.length}`): WrittenBook => {
    const book: WrittenBook = { name, outcome: undefined, why: '' };
    books.push(book);
    const done = (outcome: Outcome, why = ''): void => {
      if (host.life.state === 'ended') return;
      book.outcome = outcome;
      book.why = why;
    };
    host.store
      .commit((tx) => {
        tx.create('book' as never, name as never, { uuid: name } as never);
        tx.create('shelf' as never, `shelf of ${name}` as never, { uuid: `shelf of ${name}` } as never);
        const older = books.at(-4);
        if (older !== undefined) tx.delete('shelf' as never, `shelf of ${older.name}` as never);
      })
      .then(
        () => done('acknowledged'),
        (error: unknown) => done(error instanceof LogFenced ? 'unknown' : 'refused', asFault(error).message),
      );
    return book;
  };
  return {
    differed,
    ...{ clock, loop, random, cluster, disks, running, books, names, start, write, lifeNamed },
    kill: (name: string): void => {
      running.get(name)?.life.end();
      running.delete(name);
    },
    leader: () => [...running.values()].find(({ leads }) => leads),
    /** Steps until it is so; throws when it is not within so long. */
    until: async (what: string, met: () => boolean, withinMs = 60_000): Promise<void> => {
      const ended = await loop.run({ until: met, untilMs: clock.monotonicMs() + withinMs });
      if (ended !== 'met') throw new Error(`Not within ${withinMs} ms: ${what}`);
    },
  };
};

const same = <T>(one: T): T => one;

/** Does what the log says. */
export const playing = <L extends PoolHost['life']>(
  parts: Pick<PoolHost, 'name' | 'store' | 'replica' | 'log'> & { readonly life: L },
): PoolHost & { readonly life: L } => {
  const { life, replica, log } = parts;
  let now: Leadership = { kind: 'none' };
  let role: 'leads' | 'follows' | 'neither' = 'neither';
  const listeners = new Set<() => void>();
  const plays = (next: typeof role): void => {
    role = next;
    for (const told of listeners) told();
  };
  let turn = new AbortController();
  const play = async (word: Leadership, signal: AbortSignal): Promise<void> => {
    if (word.kind === 'here') {
      await replica.lead(word.epoch, log);
      if (!signal.aborted) plays('leads');
    } else if (word.kind === 'other') {
      await replica.follow({ propose: () => Promise.reject(new Error('Nothing is proposed here')) });
      if (signal.aborted) return;
      const synced = (): void => {
        if (!signal.aborted) plays('follows');
      };
      await log.follow(word, replica, synced, signal);
    } else await replica.pause();
  };
  let before: Promise<unknown> = Promise.resolve();
  const take = (word: Leadership): void => {
    now = word;
    plays('neither');
    turn.abort();
    turn = new AbortController();
    const { signal } = turn;
    const again = (): void => {
      before = before.then(attempt);
    };
    const attempt = async (): Promise<void> => {
      if (signal.aborted) return;
      try {
        await play(word, signal);
      } catch {
        if (!signal.aborted) life.after(500, again);
      }
    };
    again();
  };
  log.leadership(take);
  return {
    ...parts,
    onRole: (told) => {
      listeners.add(told);
      return () => listeners.delete(told);
    },
    get now() {
      return now;
    },
    get leads() {
      return life.state === 'running' && role === 'leads';
    },
    get follows() {
      return life.state === 'running' && role === 'follows';
    },
  };
};

/** Names of the books that readers of a host see. */
export const booksOf = ({ store }: PoolHost): ReadonlySet<string> =>
  new Set(
    [...(store.tables.get('book')?.entries.values() ?? [])].flatMap(({ ref, committed }) =>
      committed ? [ref] : [],
    ),
  );

export const digest = ({ replica }: PoolHost): Promise<string> => digestOf(replica.copy(), async () => {});
