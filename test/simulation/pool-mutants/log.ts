import type { CopyPiece } from '../../../src/store/batch.ts';
import type { WriteGroup } from '../../../src/store/durable.ts';
import { answered, asked, commits, dense, type Mutant, mesh, replica } from './parts.ts';

// Bugs in what the pool's log promises: acknowledging, following, catching up, setting aside.

const half = async function* (pieces: Iterable<CopyPiece> | AsyncIterable<CopyPiece>) {
  for await (const piece of pieces)
    yield { ...piece, rows: piece.rows.filter((_, index) => index % 2 === 0) };
};

/** The coordinator goes on alone, and another is made to lead meanwhile: both answer clients. */
const parted = {
  ...dense,
  hosts: 2,
  replicas: 0,
  lastsMs: [6_000, 12_000],
  troubles: ['cut off the coordinator', 'insist'],
} as const;

export const logMutants: readonly Mutant[] = [
  {
    name: 'commits are answered before they are on disk',
    sabotage: {
      durable: (durable, life) => ({
        ...durable,
        write: async (groups: readonly WriteGroup[]) => {
          life.after(400, () => void durable.write(groups).catch(() => {}));
        },
      }),
    },
    shows: { ...dense, troubles: ['power', 'crash'] },
    seed: 1,
  },
  {
    name: 'commits are acknowledged before they are written',
    sabotage: commits((log) => ({
      append: (group) => ({
        ...log.append(group),
        written: Promise.resolve(),
        acknowledged: Promise.resolve(),
      }),
    })),
    shows: { ...dense, troubles: ['crash'] },
    seed: 1,
  },
  {
    name: 'commits wait for no other host',
    sabotage: replica((one) => ({ lead: (epoch) => one.lead(epoch) })),
    shows: { ...dense, troubles: ['crash'] },
    seed: 1,
  },
  {
    name: 'followers acknowledge before they have written',
    sabotage: replica((one) => ({
      apply: async (batch) => {
        one.apply(batch).catch(() => {});
        return { epoch: batch.epoch, generation: batch.generation };
      },
    })),
    shows: { ...dense, troubles: ['power', 'crash', 'failing disk', 'slow disk'] },
    seed: 1,
  },
  {
    name: 'what was sent to a follower counts as had by it',
    sabotage: mesh((one) => ({
      call: (host, name, payload, options) => {
        const answer = one.call(host, name, payload, options);
        if (name !== 'apply') return answer;
        answer.catch(() => {});
        const { epoch, generation } = (payload as { batch: { epoch: number; generation: number } }).batch;
        return Promise.resolve({ position: { epoch, generation } });
      },
    })),
    shows: { ...dense, troubles: ['designate', 'crash', 'failing disk', 'slow disk'] },
    seed: 1,
  },
  {
    name: 'members show what is not acknowledged',
    sabotage: replica((one) => ({
      apply: async (batch) => {
        const position = await one.apply(batch);
        one.acknowledge(batch.generation);
        return position;
      },
    })),
    shows: { ...dense, troubles: ['slow disk', 'slow'] },
    seed: 1,
  },
  {
    name: 'deletions are not told to whoever catches up',
    sabotage: replica((one) => ({
      since: (position) => {
        const batch = one.since(position);
        return batch && { ...batch, changes: batch.changes.filter(({ row }) => row !== undefined) };
      },
    })),
    shows: { ...dense, troubles: ['crash', 'cut off', 'two ways'] },
    seed: 17,
  },
  {
    name: 'who catches up is not told what waits to be acknowledged',
    sabotage: replica((one) => ({
      since: (position) => {
        const batch = one.since(position);
        const told = batch?.changes.filter(({ generation }) => generation <= one.acknowledged) ?? [];
        return batch && { ...batch, changes: told };
      },
    })),
    shows: { ...dense, troubles: ['crash', 'two ways', 'slow disk'] },
    seed: 1,
  },
  {
    name: 'who catches up is not told the first change',
    sabotage: replica((one) => ({
      since: (position) => {
        const batch = one.since(position);
        return batch && { ...batch, changes: batch.changes.slice(1) };
      },
    })),
    shows: { ...dense, troubles: ['crash', 'cut off', 'two ways'] },
    seed: 1,
  },
  {
    name: 'a host that just started counts as one that was only away',
    sabotage: replica((one) => ({
      since: ({ epoch, generation }) => {
        const batch = one.since({ epoch, generation });
        return batch && { ...batch, warms: true };
      },
    })),
    shows: { ...dense, troubles: ['crash'] },
    seed: 2,
  },
  {
    name: 'half of a copy is taken for the whole',
    sabotage: replica((one) => ({ replace: (pieces) => one.replace(half(pieces)) })),
    seed: 1,
  },
  {
    name: 'a request is repeated without its id',
    sabotage: mesh((one) => ({
      call: (host, name, payload, { requestId: _, ...options }) => one.call(host, name, payload, options),
    })),
    shows: { ...dense, troubles: ['loss', 'one way', 'two ways'] },
    seed: 1,
  },
  {
    name: 'a proposal carries no number of its own',
    sabotage: asked(['propose'], ({ proposal }) => ({
      proposal: {
        ...proposal,
        changes: proposal.changes.filter(({ cls }: { cls: string }) => cls !== 'xenact_peer'),
      },
    })),
    shows: { ...dense, troubles: ['loss', 'designate', 'crash of the coordinator'] },
    seed: 14,
  },
  {
    name: 'proposals are accepted whatever has changed since they were made',
    sabotage: replica((one) => ({
      decide: (proposal) => one.decide({ ...(proposal as object), reads: [], scans: [], lookups: [] }),
    })),
    seed: 62,
  },
  {
    name: 'what the pool lacks is not set aside',
    sabotage: { diverged: (files) => ({ ...files, keep: async () => {} }) },
    shows: parted,
    seed: 1,
  },
  {
    name: 'a proposal counts as decided by whoever is asked',
    sabotage: answered(['propose'], (answer) =>
      answer !== undefined && 'generation' in answer ? answer : answer && { generation: answer.stale ?? 0 },
    ),
    shows: { ...dense, troubles: ['designate'] },
    seed: 1,
  },
];
