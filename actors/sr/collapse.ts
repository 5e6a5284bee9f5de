import type { Ref } from '../../src/model/types.ts';
import { hostCaller } from '../../src/objects/invocation.ts';
import type { Services } from '../../src/objects/services.ts';
import { createTask, newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';

/** Pairs of images in one task; what is left then has another. */
const PAIRS_MAX = 64;
/** Whoever cancels the task has it left alone for so long. */
const LEFT_ALONE_MS = 60 * 60_000;
/** What is begun on a repository whose files nobody may have open. */
const ending: ReadonlySet<string> = new Set(['unplug', 'destroy', 'forget']);

export interface ChainCollapser {
  /** Resolves once it is done; never rejects. */
  collapse(sr: Ref<'SR'>): Promise<void>;
}

/**
 * Has images merged that snapshots left behind, pair after pair and of one repository at a time, as a task
 * that can be cancelled. What fails is tried again when it is asked for next.
 */
export const chainCollapser = (services: Services): ChainCollapser => {
  const { clock, log, storage, store } = services;
  const queued = new Map<Ref<'SR'>, Promise<void>>();
  const leftAloneUntil = new Map<Ref<'SR'>, number>();
  let last: Promise<void> = Promise.resolve();

  const mergeAll = async (sr: Ref<'SR'>, uuid: string): Promise<void> => {
    const about = { debugInfo: 'SR.collapse' };
    const all = await storage.chainsOfSr(uuid, about);
    if (all === 0) return;
    const task = newRef<'task'>(services);
    await store.commit((tx) => createTask(tx, task, services, { ...taskOf, caller: hostCaller }));
    const cut = new AbortController();
    const unwatch = store.watch(() => {
      const operations = [...(store.latest.get('task', task)?.current_operations.values() ?? ['cancel'])];
      const isCancelled = operations.includes('cancel');
      if (isCancelled) leftAloneUntil.set(sr, clock.now() + LEFT_ALONE_MS);
      const others = [...(store.latest.get('SR', sr)?.current_operations.values() ?? ['forget'])];
      if (isCancelled || others.some((one) => ending.has(one)))
        cut.abort(new Fault('TASK_CANCELLED', [task]));
    });
    try {
      for (let left = all, pairs = 0; left > 0 && pairs < PAIRS_MAX; pairs += 1) {
        cut.signal.throwIfAborted();
        const now = await storage.collapseSr(uuid, { ...about, task, signal: cut.signal });
        // What cannot be merged now, because it is in use meanwhile, may be later.
        if (now >= left) return;
        left = now;
        const progress = Math.max(0, 1 - left / all);
        await store.commit((tx) => {
          if ((tx.get('task', task)?.progress ?? 1) < progress) tx.patch('task', task, { progress });
        });
      }
    } finally {
      unwatch();
      await store.commit((tx) => {
        if (tx.get('task', task) !== undefined) tx.delete('task', task);
      });
    }
  };

  const collapse = async (sr: Ref<'SR'>): Promise<void> => {
    const row = store.latest.get('SR', sr);
    if (row === undefined || (leftAloneUntil.get(sr) ?? 0) > clock.now()) return;
    leftAloneUntil.delete(sr);
    await mergeAll(sr, row.uuid).catch((error: unknown) => {
      log.debug({ error, sr }, 'Images of snapshots that are gone were not merged');
    });
  };

  return {
    collapse: (sr) => {
      const known = queued.get(sr);
      if (known !== undefined) return known;
      last = last.then(() => collapse(sr)).finally(() => queued.delete(sr));
      queued.set(sr, last);
      return last;
    },
  };
};

const taskOf = {
  label: 'SR.collapse',
  description: 'Merging disk images that snapshots left behind',
  cancellable: true,
  watched: 'while-running',
} as const;
