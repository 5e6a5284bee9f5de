import type { Ref } from '../model/types.ts';
import { calledOf } from '../pool/context.ts';
import { sleep } from '../std/clock.ts';
import type { EngineContext } from './context.ts';
import type { Hosts } from './orders.ts';
import { refusal } from './refusal.ts';
import { answerOf, type EngineMove, type LogEngine } from './settings.ts';
import { assertHealthy, viewOf, withCluster } from './view.ts';

// A pool's log moves from one engine to the other. Each step is written down before the next is begun, and
// whoever was
// killed goes on from what is written:
//
//   prepared   every host knows of the move and by whom it is made; it may still be taken back
//   ended      (to primary) the log in the cluster is to be ended, so that nobody can lead with it any more
//   begun      the coordinator has the new engine; it starts again, and brings what it has to the new log
//   switched   it leads with the new engine; the others take it over as they hear of that
//   done       every host has it, and nothing is written down any more
//
// Hosts ask and are not told, so one that was away finds its way by itself.

/** Begins the move, or takes up one that was interrupted. It goes on after this host has started again. */
export const useEngine = async (context: EngineContext, hosts: Hosts, to: LogEngine): Promise<void> => {
  const { pool, host: own, store } = context;
  pool.assertLeads();
  const { use, move } = answerOf(context);
  if (move !== undefined && move.to !== to) return takeBack(context, hosts, move);
  if (use === to)
    throw refusal(
      move === undefined
        ? `The pool's log is kept by the engine ${to} already`
        : `The pool moves to the engine ${to} already: see xenact engine status`,
    );
  await assertReady(context, hosts, to);
  const made = { to, by: own };
  for (const { ref } of pool.hosts())
    if (ref !== own) await hosts.prepare(ref, { ...made, step: 'prepared' });
  await store.change((now) => ({ ...now, move: { ...made, step: 'prepared' } }));
  if (to === 'primary') {
    await store.change((now) => ({ ...now, move: { ...made, step: 'ended' } }));
    await context.clusterLog.end();
  }
  await begin(context, made);
};

const begin = async (
  { store, restart }: EngineContext,
  { to, by }: Omit<EngineMove, 'step'>,
): Promise<void> => {
  await store.change((now) => ({ ...now, use: to, move: { to, by, step: 'begun' } }));
  restart();
};

const takeBack = async (context: EngineContext, hosts: Hosts, move: EngineMove): Promise<void> => {
  const { pool, host: own, store } = context;
  if (move.step !== 'prepared')
    throw refusal(
      `The pool moves to the engine ${move.to}, and has gone too far to turn round: move it back once ` +
        `it is there`,
    );
  for (const { ref } of pool.hosts()) if (ref !== own && pool.isUp(ref)) await hosts.prepare(ref, undefined);
  await store.change((now) => ({ ...now, move: undefined }));
};

/** Everybody is there and can use the new engine. */
const assertReady = async (context: EngineContext, hosts: Hosts, to: LogEngine): Promise<void> => {
  const { pool, host: own } = context;
  const away = pool.hosts().filter(({ ref }) => ref !== own && !pool.isUp(ref));
  if (away.length > 0)
    throw refusal(
      'All hosts must be there, and ' +
        `${away.map(calledOf).join(', ')} cannot be ` +
        'reached: start them first, or take them out of the pool',
    );
  if (to === 'etcd') await withCluster(context, async (cluster) => assertHealthy(await viewOf(cluster)));
  for (const host of pool.hosts()) {
    const { cluster, inLine } = await hosts.report(host.ref);
    // One that still starts, or lacks something, could not say where it stands once the log is elsewhere.
    if (!inLine)
      throw refusal(`${calledOf(host)} has not caught up with the pool yet: try again in a moment`);
    if (to === 'etcd' && cluster?.whole !== true)
      throw refusal(`${calledOf(host)} has no access to the cluster yet: try again in a moment`);
  }
};

/** Takes part in moves until the signal aborts. Nothing that fails ends it. */
export const takePart = async (context: EngineContext, hosts: Hosts, signal: AbortSignal): Promise<void> => {
  const { clock, limits, log } = context;
  const { use: runs } = answerOf(context);
  // Once another engine is written down the next start goes on: this one still leads by the one before.
  while (!signal.aborted && answerOf(context).use === runs) {
    const moved = await partOf(context, hosts).catch((error: unknown) => {
      log.debug({ error: String(error) }, 'A move to another engine waits');
      return false;
    });
    // Whoever starts again has no further part in this life.
    if (moved) return;
    await sleep(clock, limits.moveMs, signal).catch(() => {});
  }
};

/** One step, if there is one to make; true: this host starts again. */
const partOf = (context: EngineContext, hosts: Hosts): Promise<boolean> => {
  const { move } = context.store.current;
  return move?.by === context.host ? leadMove(context, hosts, move) : followMove(context, hosts, move);
};

const leadMove = async (context: EngineContext, hosts: Hosts, move: EngineMove): Promise<boolean> => {
  const { pool, store, clusterLog } = context;
  const { use } = answerOf(context);
  if (move.step === 'ended' && use !== move.to) {
    if (!(await clusterLog.isEnded())) return false;
    await begin(context, move);
    return true;
  }
  if (move.step === 'begun' && pool.leads())
    await store.change((now) => ({ ...now, move: { ...move, step: 'switched' } }));
  if (store.current.move?.step === 'switched' && (await haveAll(context, hosts, move.to)))
    await store.change((now) => ({ ...now, move: undefined }));
  return false;
};

const haveAll = async ({ pool, host: own }: EngineContext, hosts: Hosts, to: LogEngine): Promise<boolean> => {
  const others = pool.hosts().filter(({ ref }) => ref !== own);
  if (!others.every(({ ref }) => pool.isUp(ref))) return false;
  const answers = await Promise.all(others.map(({ ref }) => hosts.engineOf(ref)));
  return answers.every(({ use }) => use === to);
};

/**
 * A host that follows nobody asks the coordinator that it last knew whether the pool's log is elsewhere by
 * now.
 */
const followMove = async (
  context: EngineContext,
  hosts: Hosts,
  move: EngineMove | undefined,
): Promise<boolean> => {
  const { pool, store, restart } = context;
  if (pool.leads() || (move === undefined && pool.follows())) return false;
  const asked = move?.by ?? pool.lastLeader();
  if (asked === undefined || !pool.isUp(asked)) return false;
  const { use } = answerOf(context);
  const theirs = await hosts.engineOf(asked);
  if (theirs.use === use) {
    if (move !== undefined && theirs.move === undefined && pool.follows())
      await store.change((now) => ({ ...now, move: undefined }));
    return false;
  }
  // What the cluster has not got yet nobody can follow; a log that has left it must be taken up by all.
  if (theirs.move !== undefined && theirs.move.step !== 'switched' && theirs.use === 'etcd') return false;
  const { cluster } = store.current;
  if (theirs.use === 'etcd' && (cluster?.whole !== true || cluster.given))
    await adoptAccess(context, hosts, asked);
  await store.change((now) => ({ ...now, use: theirs.use, move: undefined }));
  restart();
  return true;
};

const adoptAccess = async ({ store }: EngineContext, hosts: Hosts, from: Ref<'host'>): Promise<void> => {
  const { credentials, cluster } = await hosts.access(from);
  await store.saveCredentials(credentials);
  await store.change((now) => ({ ...now, cluster }));
};
