import type { Ref } from '../../model/types.ts';
import { nameOfHost, type PoolContext } from '../../pool/context.ts';
import { sleep } from '../../std/clock.ts';
import { Fault } from '../../std/fault.ts';
import type { Appended } from '../../store/appending.ts';
import type { Log } from '../../store/log.ts';
import { answerOthers } from './answering.ts';
import { catchUp } from './following.ts';
import { handOver, sayGoodbye } from './handing-over.ts';
import { promote } from './promoting.ts';
import { seek } from './seeking.ts';
import { endTenure, heard, invite, lose, type Primary, type PrimaryOptions, stateOf } from './tenure.ts';

// The log of pools that elect nobody: the leader's disk is the log, and the others follow it. Who leads
// changes only by an operator's order; a host that led and comes back leads again once it is sure that nobody
// else was made to.

export const primaryLog = (context: PoolContext, options: PrimaryOptions): Log => {
  const { mesh, clock } = context;
  const primary: Primary = {
    ...{ context, options, now: { kind: 'none' }, listeners: new Set() },
    ...{ tenure: undefined, busy: false, search: new AbortController(), heardMs: undefined },
    ...{ again: () => {}, closed: false, seek: () => seek(primary) },
  };
  const stopServing = answerOthers(primary);
  const stopPeers = mesh.onPeer(({ host, state }) => {
    const { now, tenure } = primary;
    if (state === 'down' && now.kind === 'other' && now.host === host) lose(primary);
    if (state === 'up' && tenure !== undefined) void invite(primary, tenure, host as Ref<'host'>);
  });
  let begun = false;
  return {
    engine: 'primary',
    append: (group) => append(primary, group),
    follow: (leader, replica, synced, signal) => follow(primary, leader.host, replica, synced, signal),
    leadership: (told) => {
      primary.listeners.add(told);
      told(primary.now);
      if (!begun) seek(primary);
      begun = true;
      return () => primary.listeners.delete(told);
    },
    heard: (epoch) => heard(primary, epoch),
    promote: ({ insist }) => promote(primary, insist),
    handOver: (to) => handOver(primary, to),
    status: () => ({ engine: 'primary', text: statusOf(primary) }),
    close: async () => {
      if (primary.closed) return;
      primary.closed = true;
      primary.search.abort();
      const { tenure } = primary;
      if (tenure !== undefined) {
        const goodbye = sayGoodbye(primary, tenure).catch(() => {});
        await Promise.race([goodbye, sleep(clock, goodbyeMsMax)]);
      }
      endTenure(primary);
      stopServing();
      stopPeers();
    },
  };
};

const goodbyeMsMax = 4_000;

const append: (primary: Primary, group: Parameters<Log['append']>[0]) => Appended = ({ tenure }, group) => {
  if (tenure === undefined || tenure.epoch !== group.epoch) {
    const text = 'Another host coordinates the pool now; the change was not made, repeat the call';
    return {
      written: Promise.reject(new Fault('INTERNAL_ERROR', [text])),
      acknowledged: new Promise(() => {}),
    };
  }
  const appended = tenure.followers.appending.append(group);
  if (!tenure.opened) appended.written.then(tenure.open, () => {});
  return appended;
};

const follow = async (
  primary: Primary,
  leader: Ref<'host'>,
  replica: Parameters<Log['follow']>[1],
  synced: () => void,
  signal: AbortSignal,
): Promise<void> => {
  const { context } = primary;
  const { log, clock, limits } = context;
  while (!signal.aborted) {
    try {
      const generation = await catchUp(context, replica, leader, signal);
      const turn = new AbortController();
      // The leader does not count on this host any more, so what was on its way may not come.
      primary.again = () => turn.abort(new Error('The leader wants this host to ask again'));
      const either = AbortSignal.any([signal, turn.signal]);
      await context.store.reached(generation, either);
      synced();
      await aborted(either);
    } catch (error) {
      primary.again = () => {};
      if (signal.aborted) return;
      log.info({ error: String(error), leader }, 'The log could not be followed yet');
      const leads = !(error instanceof Fault && error.code === 'HOST_IS_SLAVE');
      if (!leads && primary.now.kind === 'other' && primary.now.host === leader) return lose(primary);
      await sleep(clock, limits.seekMs);
    }
  }
};

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

const statusOf = (primary: Primary): string => {
  const { now, tenure } = primary;
  if (tenure !== undefined) return `leads epoch ${tenure.epoch}`;
  if (now.kind === 'other') return `follows ${nameOfHost(primary.context, now.host)} in epoch ${now.epoch}`;
  const why = now.kind === 'none' ? now.why?.params[0] : undefined;
  return why ?? `knows no leader; epoch ${stateOf(primary).epoch}`;
};
