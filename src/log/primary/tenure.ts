import type { Ref } from '../../model/types.ts';
import { hostsOf, nameOfHost, type PoolContext } from '../../pool/context.ts';
import { fieldsOf, flagOf } from '../../pool/protocol.ts';
import type { PoolState } from '../../pool/state.ts';
import { sleep } from '../../std/clock.ts';
import { Fault } from '../../std/fault.ts';
import type { Leadership } from '../../store/log.ts';
import { othersOf } from './asking.ts';
import { type Followers, followersOf } from './followers.ts';

export interface PrimaryOptions {
  /** Members that must have a commit on disk before it is acknowledged, where as many are there. */
  readonly replicas: number;
  /** Writes down for people what an order to lead may have lost. */
  readonly alert: (text: string) => Promise<unknown>;
}

/** What of the engine changes. */
export interface Primary {
  readonly context: PoolContext;
  readonly options: PrimaryOptions;
  now: Leadership;
  readonly listeners: Set<(now: Leadership) => void>;
  /** While this host leads. */
  tenure: Tenure | undefined;
  /** This host is about to lead, or to hand over, and promises nothing to anybody else meanwhile. */
  busy: boolean;
  /** Ends the search for a leader. */
  search: AbortController;
  /** When a leader was last there. */
  heardMs: number | undefined;
  /** Makes this host ask its leader anew for what it lacks. */
  again: () => void;
  closed: boolean;
  /** Looks for a leader from now on. */
  readonly seek: () => void;
}

/** The time in which this host leads one epoch. */
export interface Tenure {
  readonly epoch: number;
  readonly followers: Followers;
  /** Its first group is on this host's disk, so that others may follow it. */
  opened: boolean;
  readonly whenOpen: Promise<void>;
  readonly open: () => void;
  readonly ends: AbortController;
}

export const say = (primary: Primary, now: Leadership): void => {
  primary.now = now;
  for (const told of primary.listeners) told(now);
};

export const stateOf = ({ context }: Primary): PoolState => {
  const { current } = context.state;
  if (current === undefined) throw new Error('A host without a state has no place in a pool');
  return current;
};

/** Names of hosts, as people know them. */
export const namesOf =
  (context: PoolContext) =>
  (host: Ref<'host'>): string =>
    nameOfHost(context, host);

/** This host leads from now on. It is on its disk before anybody hears of it. */
export const begin = async (primary: Primary, epoch: number, alert?: string): Promise<Tenure> => {
  const { context } = primary;
  const { host, alert: before } = stateOf(primary);
  const lost = alert ?? before;
  const state = { host, role: 'coordinator', epoch, led: epoch } as const;
  await context.state.save({ ...state, ...(lost !== undefined && { alert: lost }) });
  if (primary.closed || stateOf(primary).epoch > epoch) throw outrun();
  primary.search.abort();
  const tenure = tenureOf(primary, epoch);
  primary.tenure = tenure;
  say(primary, { kind: 'here', epoch });
  return tenure;
};

const outrun = (): Fault =>
  new Fault('INTERNAL_ERROR', [
    'Another host became the coordinator at the same time: see which one does, and repeat the call if it ' +
      'is none',
  ]);

const tenureOf = (primary: Primary, epoch: number): Tenure => {
  const { context, options } = primary;
  let opens = (): void => {};
  const whenOpen = new Promise<void>((resolve) => {
    opens = resolve;
  });
  const tenure: Tenure = {
    ...{ epoch, opened: false, whenOpen, ends: new AbortController() },
    followers: followersOf(context, {
      replicas: options.replicas,
      onLost: (host) => void invite(primary, tenure, host, true),
    }),
    open: () => {
      if (tenure.opened || tenure.ends.signal.aborted) return;
      tenure.opened = true;
      opens();
      context.log.info({ epoch, host: context.host }, 'This host leads its pool');
      void gather(primary, tenure);
      void raise(primary, tenure);
    },
  };
  return tenure;
};

export const endTenure = (primary: Primary): void => {
  const { tenure } = primary;
  if (tenure === undefined) return;
  primary.tenure = undefined;
  tenure.ends.abort(new Error('Another host leads, or none'));
  tenure.followers.stop();
};

/** Hosts that are linked and do not follow are told so again this often. */
const gatherMs = 1_000;

const gather = async (primary: Primary, tenure: Tenure): Promise<void> => {
  const { context } = primary;
  const { signal } = tenure.ends;
  while (!signal.aborted) {
    const missing = othersOf(context).filter(
      (one) => context.isUp(one) && tenure.followers.reachedBy(one) === undefined,
    );
    await Promise.all(missing.map((one) => invite(primary, tenure, one, true)));
    await sleep(context.clock, gatherMs);
  }
};

/** Tells another host to follow this one. `again`: also where it believes that it does. */
export const invite = async (
  { context }: Primary,
  { epoch, opened }: Tenure,
  host: Ref<'host'>,
  again = false,
): Promise<boolean> => {
  if (!opened || !hostsOf(context).includes(host)) return false;
  const { mesh, log, limits } = context;
  try {
    const answer = await mesh.call(host, 'lead', { epoch, again }, { timeoutMs: limits.answerMsMax });
    return flagOf(fieldsOf(answer)['follows']);
  } catch (error) {
    log.debug({ error: String(error), host }, 'A host could not be told who leads');
    return false;
  }
};

/** What an order may have lost is written down as soon as that is possible, also after a restart. */
const raise = async (primary: Primary, tenure: Tenure): Promise<void> => {
  const { context, options } = primary;
  const { clock, limits, log, state } = context;
  while (!tenure.ends.signal.aborted) {
    const text = state.current?.alert;
    if (text === undefined) return;
    try {
      await options.alert(text);
      const { alert: _, ...rest } = stateOf(primary);
      return await state.save(rest);
    } catch (error) {
      log.warn({ error: String(error) }, 'The alert about the order to lead is not written yet');
      await sleep(clock, limits.seekMs);
    }
  }
};

/** The leader that this host had is there no more. */
export const lose = (primary: Primary): void => {
  if (primary.closed || primary.now.kind === 'none') return;
  primary.heardMs = primary.context.clock.monotonicMs();
  endTenure(primary);
  say(primary, { kind: 'none' });
  primary.seek();
};

/** Follows whoever leads an epoch; answers whether it does. */
export const obey = async (primary: Primary, host: Ref<'host'>, epoch: number): Promise<boolean> => {
  const { context, now } = primary;
  const { state, clock } = context;
  if (primary.closed || primary.tenure !== undefined || epoch < stateOf(primary).epoch) return false;
  if (now.kind === 'other' && now.host === host && now.epoch === epoch) return true;
  // What the leader before had said of its end is of no use any more.
  const { complete: _, ...rest } = stateOf(primary);
  await state.save({ ...rest, role: 'member', epoch });
  if (primary.closed || primary.tenure !== undefined || stateOf(primary).epoch > epoch) return false;
  primary.search.abort();
  primary.heardMs = clock.monotonicMs();
  say(primary, { kind: 'other', host, epoch });
  return true;
};

/** Somebody speaks of a higher epoch: this host obeys no older leader, itself included, from now on. */
export const heard = async (primary: Primary, epoch: number): Promise<void> => {
  const { state } = primary.context;
  const { current } = state;
  if (current === undefined || epoch <= current.epoch) return;
  const { now } = primary;
  if (now.kind !== 'none' && now.epoch < epoch) {
    endTenure(primary);
    say(primary, { kind: 'none' });
    primary.heardMs = primary.context.clock.monotonicMs();
    await state.save({ ...current, epoch });
    // Somebody else may have told it of the new leader meanwhile.
    if (primary.now.kind === 'none') primary.seek();
    return;
  }
  await state.save({ ...current, epoch });
};
