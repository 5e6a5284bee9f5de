import { fragmentsOf } from '../../edge/encoding.ts';
import { batchesOf } from '../../edge/event-batches.ts';
import { type Subscription, subscriptionOf } from '../../edge/subscriptions.ts';
import { Fault } from '../../std/fault.ts';
import type { RowEvent } from '../../store/changes.ts';
import type { Store } from '../../store/store.ts';
import type { SeededRandom } from '../random.ts';
import { anyReady } from './asking.ts';
import { catalog } from './past.ts';
import type { World, WorldHost } from './world.ts';

/** Clients that hear what changes, wherever a host lets them, and believe nothing else. */
export interface Watchers {
  /** What one of them was told and should not have been, or was not told. */
  readonly violation: string | undefined;
  readonly batches: number;
}

interface Watcher {
  readonly name: string;
  readonly random: SeededRandom;
  /** What it knows: generation of each row. */
  readonly known: Map<string, number>;
  position: number;
}

const subscription: Subscription = subscriptionOf(['vm', 'network']);
const classes = ['VM', 'network'] as const;
const fragments = fragmentsOf([]);

export const startWatchers = (world: World): Watchers => {
  const found: { violation: string | undefined; batches: number } = { violation: undefined, batches: 0 };
  for (let index = 0; index < world.options.watchers; index += 1) {
    const name = `watcher ${index}`;
    const watcher: Watcher = { name, random: world.random.split(name), known: new Map(), position: 0 };
    const move = (): void => {
      const host = anyReady(world, watcher.random);
      if (host?.process === undefined) world.clock.after(500, move);
      else watch(world, host, watcher, found, move);
    };
    move();
  }
  return found;
};

/** Listens at one host until that ends, or something makes it go to another. */
const watch = (
  world: World,
  host: WorldHost,
  watcher: Watcher,
  found: { violation: string | undefined; batches: number },
  moveOn: () => void,
): void => {
  const { process } = host;
  if (process === undefined) {
    moveOn();
    return;
  }
  const { store, life } = process;
  const batches = batchesOf({ catalog, store, clock: life, fragments });
  let planned = false;
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    stop();
    world.clock.after(watcher.random.fraction() * 2_000, moveOn);
  };
  const read = (): void => {
    planned = false;
    if (over) return;
    batches.forget();
    try {
      const { events, generation } = batches.read(subscription, watcher.position);
      found.batches += 1;
      found.violation ??= told(watcher, host, store, events, generation);
      watcher.position = generation;
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'EVENTS_LOST') throw error;
      world.trace.note(world.clock.monotonicMs(), watcher.name, 'begins afresh at', host.name);
      watcher.known.clear();
      watcher.position = 0;
      end();
      return;
    }
    // A client's connection does not last for ever.
    if (watcher.random.chance(0.02)) end();
  };
  const plan = (): void => {
    if (planned || over) return;
    planned = true;
    life.after(watcher.random.fraction() * 100, read);
  };
  const stop = store.watch(plan);
  life.onEnd(end);
  plan();
};

/** Takes in what was told, and holds it against the rows of the host at that moment. */
const told = (
  { name, known, position }: Watcher,
  host: WorldHost,
  store: Store,
  events: readonly RowEvent[],
  generation: number,
): string | undefined => {
  const at = `${name} at ${host.name}, from ${position} to ${generation}:`;
  for (const { cls, ref, operation, generation: changed } of events) {
    const key = `${cls}/${ref}`;
    const before = known.get(key);
    if (changed <= position || changed > generation) return `${at} ${operation} ${key} of ${changed}`;
    if ((operation === 'add') !== (before === undefined))
      return `${at} ${operation} ${key}, known: ${before}`;
    if (before !== undefined && changed <= before) return `${at} ${operation} ${key} of ${changed} again`;
    if (operation === 'del') known.delete(key);
    else known.set(key, changed);
  }
  let count = 0;
  for (const cls of classes) {
    for (const { ref, committed } of store.tables.get(cls)?.entries.values() ?? []) {
      if (committed === undefined) continue;
      count += 1;
      const heard = known.get(`${cls}/${ref}`);
      if (heard !== committed.modified)
        return `${at} was not told of ${cls}/${ref} of ${committed.modified}, heard ${heard}`;
    }
  }
  return count === known.size ? undefined : `${at} was not told of a deletion`;
};
