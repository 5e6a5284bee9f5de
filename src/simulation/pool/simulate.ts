import type { Turns } from '../../drivers/turns.ts';
import { seededRandom } from '../random.ts';
import { type Trace, traceOf } from '../trace.ts';
import { alwaysOf, Broken, checkEnd, setAsideOf, unrest } from './invariants.ts';
import { newAnswered, startLoad } from './load.ts';
import { optionsOf, type SimulationOptions } from './options.ts';
import type { Sabotage } from './process.ts';
import { startTroubles } from './troubles.ts';
import { startWatchers } from './watchers.ts';
import { openWorld, type World } from './world.ts';

export interface SimulateOptions {
  readonly turns: Turns;
  readonly sabotage?: Sabotage;
  /** Instead of what the seed says. */
  readonly options?: Partial<SimulationOptions>;
  /** Steps that are kept to be shown. */
  readonly stepsKeptMax?: number;
}

export interface Simulated {
  readonly seed: number;
  readonly options: SimulationOptions;
  /** Two runs with the same digest did the same, step by step. */
  readonly digest: string;
  readonly failure: { readonly invariant: string; readonly detail: string } | undefined;
  readonly steps: readonly string[];
  readonly virtualMs: number;
  readonly asked: number;
  readonly acknowledged: number;
  readonly batches: number;
  /** What the pool took to come to rest once everything was mended, and what it waited for last. */
  readonly rest: Rest | undefined;
}

export interface Rest {
  readonly tookMs: number;
  readonly waitedFor: string | undefined;
}

/** Once everything is mended the pool has this long to come to rest. */
const restMsMax = 30_000;
const lookMs = 250;

/** One pool, one seed: load and troubles, then peace, and everything must be in order. */
export const simulate = async (seed: number, given: SimulateOptions): Promise<Simulated> => {
  const random = seededRandom(`pool ${seed}`);
  const options: SimulationOptions = {
    ...optionsOf(random.split('options'), given.options?.engine),
    ...given.options,
  };
  const story = traceOf(given.stepsKeptMax ?? 400);
  const events = traceOf(1);
  const trace: Trace = {
    ...story,
    note: (...parts) => {
      story.note(...parts);
      events.note(...parts);
    },
    digest: events.digest,
  };
  const world = await openWorld({
    ...{ options, random, turns: given.turns, trace, events, sabotage: given.sabotage ?? {} },
  });
  const told = newAnswered();
  const watchers = startWatchers(world);
  const always = alwaysOf(world, told, watchers);
  let failure: Simulated['failure'];
  let rested: Rest | undefined;
  try {
    for (const host of world.hosts) world.start(host);
    startLoad(world, told);
    const troubles = startTroubles(world);
    await world.loop.run({ check: always, until: troubles.over });
    told.stopped = true;
    rested = await rest(world, always, () => unrest(world, told));
    checkEnd(world, told, await world.loop.finish(setAsideOf(world)));
  } catch (error) {
    const invariant = error instanceof Broken ? error.invariant : 'the simulation goes on';
    failure = { invariant, detail: (error as Error).message };
    trace.note('BROKEN', failure.detail);
    if (!(error instanceof Broken)) trace.note((error as Error).stack ?? '');
  }
  for (const host of world.hosts) world.kill(host);
  // One that never comes to rest was noticed above.
  await world.loop.rest().catch(() => {});
  const { asked, acknowledged } = told;
  return {
    ...{ seed, options, failure, asked, acknowledged, batches: watchers.batches, rest: rested },
    ...{ digest: trace.digest(), steps: trace.recent(), virtualMs: world.clock.monotonicMs() },
  };
};

const rest = async (
  { clock, loop }: World,
  check: () => void,
  why: () => string | undefined,
): Promise<Rest> => {
  const sinceMs = clock.monotonicMs();
  let waitedFor: string | undefined;
  for (;;) {
    await loop.run({ check, untilMs: clock.monotonicMs() + lookMs });
    const reason = why();
    const tookMs = clock.monotonicMs() - sinceMs;
    if (reason === undefined) return { tookMs, waitedFor };
    waitedFor = reason;
    if (tookMs > restMsMax) throw new Broken('the pool comes to rest', reason);
  }
};
