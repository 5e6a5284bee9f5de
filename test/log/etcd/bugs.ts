import {
  type Etcd,
  EtcdFailure,
  OutcomeUnknown,
  type Txn,
  type WatchEvent,
} from '../../../src/drivers/etcd.ts';
import { type Newest, pack, unpackNewest } from '../../../src/log/etcd/records.ts';
import type { CopyPiece } from '../../../src/store/batch.ts';
import type { Log } from '../../../src/store/log.ts';
import type { Replica } from '../../../src/store/replica.ts';
import type { Bugs } from './pool.ts';

// Deliberate bugs, each in one part of every host. Seeds that do not notice one of them do not look there.

const ends = (key: Uint8Array, name: string): boolean => Buffer.from(key).toString().endsWith(`/${name}`);
const isCommit = ({ success }: Txn): boolean =>
  success.some((one) => 'put' in one && ends(one.put.key, 'gen')) &&
  success.every((one) => !('put' in one) || !ends(one.put.key, 'fmt'));

const etcd = (change: (etcd: Etcd) => Partial<Etcd>): Bugs => ({
  etcd: (one) => ({ ...one, ...change(one), endpoints: one.endpoints }),
});
/** Commits as they are sent, and the answer as it is believed. */
const commits = (change: (txn: Txn, send: Etcd['txn'], options: any) => ReturnType<Etcd['txn']>): Bugs =>
  etcd((one) => ({
    txn: (txn, options) => (isCommit(txn) ? change(txn, one.txn, options) : one.txn(txn, options)),
  }));
/** What a watch tells. */
const told = (change: (events: readonly WatchEvent[]) => readonly WatchEvent[] | undefined): Bugs =>
  etcd((one) => ({
    watch: (request, events) =>
      one.watch(request, {
        ...events,
        revision: (given, revision) => {
          const seen = change(given);
          return seen === undefined ? undefined : events.revision(seen, revision);
        },
      }),
  }));
const replica = (change: (replica: Replica) => Partial<Replica>): Bugs => ({
  replica: (one) => {
    const changes = Object.entries(change(one)).map(([name, value]) => [name, { value }] as const);
    return Object.create(one, Object.fromEntries(changes)) as Replica;
  },
});
const log = (change: (log: Log) => Partial<Log>): Bugs => ({ log: (one) => ({ ...one, ...change(one) }) });

/** The mark of a group as it is read, made to look as if nothing were missing. */
const marked = (
  events: readonly WatchEvent[],
  change: (mark: Newest, events: readonly WatchEvent[]) => Newest,
) =>
  events.map((event) =>
    event.kind === 'put' && ends(event.kv.key, 'gen')
      ? { ...event, kv: { ...event.kv, value: pack(change(unpackNewest(event.kv.value), events)) } }
      : event,
  );

const isRow = ({ kv }: WatchEvent): boolean => /\/o\//.test(Buffer.from(kv.key).toString());

const halfOf = async function* (pieces: Iterable<CopyPiece> | AsyncIterable<CopyPiece>) {
  for await (const piece of pieces)
    yield { ...piece, rows: piece.rows.filter((_, index) => index % 2 === 0) };
};

/** Skips the generation check: whatever comes goes on from what was there. */
const believesEveryGroup = (): Bugs => {
  const last = new Map<unknown, number>();
  return etcd((one) => ({
    watch: (request, events) =>
      one.watch(request, {
        ...events,
        revision: (given, revision) =>
          events.revision(
            marked(given, (mark) => {
              const after = last.get(one) ?? mark.after;
              last.set(one, mark.generation);
              return { ...mark, after };
            }),
            revision,
          ),
      }),
  }));
};

/** Rows are not compared either, which would put right what the bug did. */
const unchecked = (one: Bugs): Bugs => ({ ...one, limits: { hashMs: Number.POSITIVE_INFINITY } });

export const bugs: Readonly<Record<string, Bugs>> = {
  'commits compare nothing': commits((txn, send, options) => send({ ...txn, compare: [] }, options)),
  'a commit whose comparison did not hold counts as made': commits(async (txn, send, options) => ({
    ...(await send(txn, options)),
    succeeded: true,
  })),
  'a commit without an answer counts as made': commits((txn, send, options) =>
    send(txn, options).catch((error: unknown) => {
      if (!(error instanceof OutcomeUnknown)) throw error;
      const header = { clusterId: 1n, memberId: 1n, revision: 1, raftTerm: 1 };
      return { header, succeeded: true, answers: [] };
    }),
  ),
  'a commit without an answer counts as not made': commits((txn, send, options) =>
    send(txn, options).catch((error: unknown) => {
      throw error instanceof OutcomeUnknown ? new EtcdFailure('refused', error.message) : error;
    }),
  ),
  'a commit is acknowledged before the cluster has it': log((one) => ({
    append: (group) => {
      const written = group.write();
      one.append({ ...group, keep: async () => {} }).written.catch(() => {});
      return { written, acknowledged: written };
    },
  })),
  'a leader believes in a lease that is gone': etcd((one) => ({
    leaseKeepAlive: async (lease, options) => (await one.leaseKeepAlive(lease, options).catch(() => 5)) || 5,
  })),
  'the name of the leader has no lease': etcd((one) => ({
    txn: (txn, options) =>
      one.txn(
        { ...txn, success: txn.success.map((op) => ('put' in op ? { put: { ...op.put, lease: 0n } } : op)) },
        options,
      ),
  })),
  'the clock of a lease runs slow': {
    clock: (life) => ({
      ...life,
      get state() {
        return life.state;
      },
      monotonicMs: () => life.monotonicMs() / 2,
      after: (delayMs, run) => life.after(delayMs * (delayMs > 1_500 ? 2 : 1), run),
    }),
  },
  'a watch goes on after a revision that it missed': unchecked(believesEveryGroup()),
  'a watch that is silent is believed': etcd((one) => ({
    range: async (request, options) => {
      const answer = await one.range(request, options);
      return ends(request.key, 'gen') && options?.signal !== undefined ? { ...answer, kvs: [] } : answer;
    },
  })),
  'a watch forgets every deletion': told((events) => marked(events, (mark) => ({ ...mark, deleted: [] }))),
  'a watch forgets a row of a group': told((events) => {
    const rows = events.filter((event) => event.kind === 'put' && isRow(event));
    const kept = rows.length < 2 ? events : events.filter((event) => event !== rows[0]);
    return marked(kept, (mark) => ({
      ...mark,
      written: kept.filter((one) => one.kind === 'put' && isRow(one)).length,
    }));
  }),
  'a copy ends with its first page': etcd((one) => ({
    range: async (request, options) => ({
      ...(await one.range({ ...request, ...(request.limit && { limit: 2 }) }, options)),
      more: false,
    }),
  })),
  'a copy leaves rows out': replica((one) => ({ replace: (pieces) => one.replace(halfOf(pieces)) })),
  'a host leads with what it had': replica((one) => ({ receive: async () => one.position })),
  'a batch is not taken': replica((one) => ({
    apply: async (batch) => one.apply({ ...batch, changes: [] }),
  })),
};
