import { isDeepStrictEqual } from 'node:util';
import { primaryAppending } from '../log/primary/appending.ts';
import type { Ref } from '../model/types.ts';
import type { Invoker } from '../objects/invoke.ts';
import type { Places } from '../objects/places.ts';
import type { Standing } from '../objects/standing.ts';
import { sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import { NotLeading } from '../store/roles.ts';
import { copiesOf } from './copies.ts';
import { authorityOf, catchUp } from './following.ts';
import { forwarding, serveCarried } from './forwarding.ts';
import { type Ground, hostsOf, peerRef } from './ground.ts';
import { type Leading, type LeadingOptions, leadingOf } from './leading.ts';
import { countOf, fieldsOf, flagOf, listOf, positionOf, type Who } from './protocol.ts';
import type { PoolState } from './state.ts';
import { type Role, succeed, TooFew, whoLeads } from './succession.ts';

/** The place of this host in its pool. */
export interface Pool {
  readonly role: Role;
  readonly places: Places;
  readonly standing: () => Standing;
  /** Told of each change of that, until the returned function is called. */
  readonly onStanding: (told: () => void) => () => void;
  /**
   * Takes up the part that the host last played, as far as the others agree. Resolves once it can serve. What
   * others ask of the objects that live here waits until this host is prepared for it.
   */
  start(invoker: Invoker, prepared?: Promise<void>): Promise<void>;
  /** Makes this host the coordinator with the consent of the others. */
  takeOver(): Promise<void>;
  /** Makes another host the coordinator. Only a coordinator can. */
  designate(host: Ref<'host'>): Promise<void>;
  /** Asks all other hosts to follow this one; answers those that do. */
  recover(): Promise<readonly Ref<'host'>[]>;
  setAside(host: Ref<'host'>): void;
  /**
   * Throws unless the host is the one that this host follows. A sender is known by its pinned certificate and the mesh
   * answers no lower epoch, so what passes here is the word of the leader of the present epoch.
   */
  assertLeader(host: string): void;
  /** Told by the mesh of a higher epoch than this host's. */
  heard(epoch: number): Promise<void>;
  stop(): Promise<void>;
}

export interface PoolOptions extends LeadingOptions {
  /** A member serves clients as the coordinator does. */
  readonly serves: boolean;
  /** Where clients of a host go, as HOST_IS_SLAVE says it. */
  readonly addressOf: (host: Ref<'host'>) => string;
  /** Cancels what this host does for a task. */
  readonly cancel: (task: Ref<'task'>) => boolean;
  /** What a coordinator does with the rows as it begins. */
  readonly onLead: () => Promise<void>;
  /** What a member takes over from its coordinator beside the log. Never rejects. */
  readonly onFollow?: (leader: Ref<'host'>) => Promise<void>;
}

/** The changing part: what the host is now, and what it has running for that. */
interface Position {
  role: Role;
  readonly listeners: Set<() => void>;
  leading: Leading | undefined;
  /** Ends what was begun for the present role. */
  turn: AbortController;
  lonelyMs: number | undefined;
  stopped: boolean;
}

export const poolOf = (ground: Ground, options: PoolOptions): Pool => {
  const { clock } = ground;
  const now: Position = {
    role: { kind: 'seeks', sinceMs: clock.monotonicMs(), last: undefined },
    listeners: new Set(),
    leading: undefined,
    turn: new AbortController(),
    lonelyMs: undefined,
    stopped: false,
  };
  const leader = (): Ref<'host'> | undefined =>
    now.role.kind === 'follows' && now.role.synced ? now.role.leader : undefined;
  const authority = authorityOf(ground, leader, () => now.role.kind === 'leads');
  const parts: Parts = { ground, options, now, authority };
  serve(parts);
  const { mesh, host } = ground;
  const stopWatching = mesh.onPeer(({ host: peer, state }) => {
    const { role } = now;
    if (state === 'down' && role.kind === 'follows' && role.leader === peer) seek(parts, role.leader);
    if (state === 'up' && role.kind === 'leads') void invite(parts, peer as Ref<'host'>);
  });
  return {
    get role() {
      return now.role;
    },
    places: forwarding(ground, () => coordinatorOf(parts)),
    standing: () => standingOf(parts),
    onStanding: (told) => {
      now.listeners.add(told);
      return () => now.listeners.delete(told);
    },
    start: async (invoker, prepared = Promise.resolve()) => {
      serveCarried(ground, invoker, options.cancel, prepared);
      await start(parts);
    },
    takeOver: () => takeOver(parts),
    designate: (to) => designate(parts, to),
    recover: async () => {
      const asked = hostsOf(ground).filter((one) => one !== host && ground.isUp(one));
      const followed = await Promise.all(asked.map(async (one) => ((await invite(parts, one)) ? [one] : [])));
      return [host, ...followed.flat()];
    },
    setAside: (one) => now.leading?.setAside(one),
    assertLeader: (from) => assertLeader(parts, from),
    heard: (epoch) => heard(parts, epoch),
    stop: async () => {
      now.stopped = true;
      now.turn.abort(new Error('The host stops'));
      stopWatching();
      now.leading?.stop();
    },
  };
};

interface Parts {
  readonly ground: Ground;
  readonly options: PoolOptions;
  readonly now: Position;
  readonly authority: ReturnType<typeof authorityOf>;
}

const coordinatorOf = ({ ground, now }: Parts): Ref<'host'> => {
  if (now.role.kind === 'leads') return ground.host;
  if (now.role.kind === 'follows') return now.role.leader;
  return now.role.last ?? ground.host;
};

const standingOf = ({ ground, options, now }: Parts): Standing => {
  const { role } = now;
  const member: Standing = { member: true, ...(options.serves && { serves: true as const }) };
  if (role.kind === 'leads') return {};
  if (role.kind === 'follows' && role.synced) {
    return { ...member, ...(!options.serves && { coordinator: options.addressOf(role.leader) }) };
  }
  const last = role.kind === 'seeks' ? role.last : role.leader;
  const sinceMs = role.kind === 'seeks' ? role.sinceMs : ground.clock.monotonicMs();
  const patient = ground.clock.monotonicMs() - sinceMs < ground.limits.emergencyMs;
  if (last !== undefined && patient) return { ...member, coordinator: options.addressOf(last) };
  return { ...member, emergency: new Fault('HOST_STILL_BOOTING') };
};

/** Ends what runs for the role so far. */
const change = (parts: Parts, role: Role): AbortSignal => {
  const { now } = parts;
  now.turn.abort(new Error('The host plays another part'));
  now.turn = new AbortController();
  now.leading?.stop();
  now.leading = undefined;
  play(parts, role);
  return now.turn.signal;
};

const play = ({ now }: Parts, role: Role): void => {
  now.role = role;
  for (const told of now.listeners) told();
};

const start = async (parts: Parts): Promise<void> => {
  const { ground } = parts;
  const { state, host, limits, clock } = ground;
  const known = state.current;
  if (known === undefined) throw new Error('A host without a state has no place');
  // A coordinator may have been quicker.
  if (follows(parts)) return;
  if (known.role === 'member') return seek(parts, undefined);
  if (hostsOf(ground).every((one) => one === host)) return lead(parts, Math.max(1, known.epoch));
  // While it was away another may have become the coordinator.
  const untilMs = clock.monotonicMs() + limits.answerMsMax;
  for (;;) {
    const { heard: count, epoch, leader } = await whoLeads(ground);
    if (follows(parts)) return;
    if (leader !== undefined) return follow(parts, leader, epoch);
    if (epoch > known.led) return seek(parts, undefined, 'reclaims');
    if (count === hostsOf(ground).length - 1 || clock.monotonicMs() >= untilMs) return lead(parts, epoch);
    await sleep(clock, limits.seekMs);
  }
};

const follows = ({ now }: Parts): boolean => now.role.kind === 'follows';

const lead = async (parts: Parts, epoch: number): Promise<void> => {
  const { ground, options, now } = parts;
  const { state, replica, host, log } = ground;
  const current = state.current;
  if (current === undefined) throw new Error('A host without a state cannot lead');
  if (current.epoch > epoch) throw outrun();
  await state.save({ host: current.host, role: 'coordinator', epoch, led: epoch });
  // Nothing is acknowledged before it is known who follows.
  let needed = (): number => Number.POSITIVE_INFINITY;
  const appending = primaryAppending(() => needed());
  await replica.lead(epoch, appending);
  // Whoever was given consent meanwhile relies upon it.
  if ((state.current?.epoch ?? epoch) > epoch) {
    await replica.follow(parts.authority);
    throw outrun();
  }
  const signal = change(parts, { kind: 'leads' });
  const leading = leadingOf(ground, appending, {
    ...options,
    onLost: (one) => void invite(parts, one, true),
  });
  now.leading = leading;
  needed = leading.needed;
  appending.recount();
  log.info({ host, epoch }, 'This host leads its pool');
  // What is done with the rows now may have to wait for those that follow.
  void Promise.all(hostsOf(ground).map((one) => invite(parts, one)));
  await prepared(parts, signal);
};

/** What cannot be done with the rows yet is tried again: this host leads all the same. */
const prepared = async (parts: Parts, signal: AbortSignal): Promise<void> => {
  const { clock, log, limits } = parts.ground;
  try {
    await parts.options.onLead();
  } catch (error) {
    log.warn({ error: String(error) }, 'The rows of the pool are not up to date yet');
    clock.after(limits.seekMs, () => {
      if (!signal.aborted) void prepared(parts, signal);
    });
  }
};

const outrun = (): Fault =>
  new Fault('INTERNAL_ERROR', [
    'Another host asked to coordinate the pool at the same time: see which one does, and repeat the call if it is none',
  ]);

/** Tells another host to follow this one. */
const invite = async ({ ground }: Parts, host: Ref<'host'>, again = false): Promise<boolean> => {
  const { mesh, log, limits, state } = ground;
  if (host === ground.host) return true;
  try {
    const epoch = state.current?.epoch ?? 0;
    const answer = await mesh.call(host, 'lead', { epoch, again }, { timeoutMs: limits.answerMsMax });
    return flagOf(fieldsOf(answer)['follows']);
  } catch (error) {
    log.debug({ error: String(error), host }, 'A host could not be told who leads');
    return false;
  }
};

/** Never rejects: what fails is tried again. */
const follow = async (parts: Parts, leader: Ref<'host'>, epoch: number, again = false): Promise<void> => {
  const { ground, options, now, authority } = parts;
  const { state, replica, log, limits, clock } = ground;
  const { role } = now;
  const current = state.current;
  if (current === undefined || now.stopped) return;
  if (!again && role.kind === 'follows' && role.leader === leader && current.epoch === epoch) return;
  const signal = change(parts, { kind: 'follows', leader, synced: false });
  try {
    await state.save({ ...current, role: 'member', epoch: Math.max(epoch, state.current?.epoch ?? 0) });
    await replica.follow(authority);
  } catch (error) {
    // A disk that is full now may have room later.
    log.info({ error: String(error), leader }, 'The coordinator cannot be followed now');
    await sleep(clock, limits.seekMs);
    if (!signal.aborted) seek(parts, leader);
    return;
  }
  while (!signal.aborted) {
    try {
      await catchUp(ground, leader, signal);
      if (signal.aborted) return;
      play(parts, { kind: 'follows', leader, synced: true });
      log.info({ leader, epoch }, 'This host follows');
      await noteCoordinator(ground, leader);
      return await options.onFollow?.(leader);
    } catch (error) {
      if (signal.aborted) return;
      log.info({ error: String(error), leader }, 'The log could not be followed yet');
      const isLeader = !(error instanceof Fault && error.code === 'HOST_IS_SLAVE');
      if (!isLeader || !ground.isUp(leader)) return seek(parts, leader);
      await sleep(clock, limits.seekMs);
    }
  }
};

/** Where it is found again even when nothing is left of this host's rows. */
const noteCoordinator = async ({ store, state, log }: Ground, leader: Ref<'host'>): Promise<void> => {
  const { current } = state;
  const row = store.committed.get('xenact_peer', peerRef(leader));
  if (current?.role !== 'member' || row === undefined) return;
  const { address, pins } = row;
  const coordinator = { host: leader, address, port: Number(row.port), pins };
  if (isDeepStrictEqual(current.coordinator, coordinator)) return;
  await state
    .save({ ...current, coordinator })
    .catch((error: unknown) => log.warn({ error: String(error) }, 'The coordinator is not noted yet'));
};

/** Looks for a leader until there is one. A coordinator that was deposed for nobody asks to lead again. */
const seek = (parts: Parts, last: Ref<'host'> | undefined, then: 'waits' | 'reclaims' = 'waits'): void => {
  const { ground, now, authority } = parts;
  const { replica, clock, limits, log } = ground;
  if (now.stopped) return;
  const sinceMs = clock.monotonicMs();
  const signal = change(parts, { kind: 'seeks', sinceMs, last });
  replica
    .follow(authority)
    .catch((error: unknown) => log.warn({ error: String(error) }, 'Waiting for a coordinator'));
  const look = async (): Promise<void> => {
    const { leader, epoch } = await whoLeads(ground);
    if (signal.aborted) return;
    if (leader !== undefined) return follow(parts, leader, epoch);
    if (then === 'reclaims' && clock.monotonicMs() - sinceMs > limits.reclaimMs) await reclaim(parts, last);
  };
  const search = async (): Promise<void> => {
    while (!signal.aborted) {
      // A disk that is full now may have room later, so nothing that fails ends the search.
      await look().catch((error: unknown) => {
        if (!signal.aborted) log.warn({ error: String(error) }, 'The search for a coordinator goes on');
      });
      if (!signal.aborted) await sleep(clock, limits.seekMs);
    }
  };
  void search();
};

const reclaim = async (parts: Parts, last: Ref<'host'> | undefined): Promise<void> => {
  try {
    await lead(parts, await succeed(parts.ground, false));
  } catch (error) {
    parts.ground.log.info({ error: String(error), last }, 'The pool is not taken back yet');
  }
};

/** Somebody speaks of a higher epoch: this host must obey no older coordinator, itself included, from now on. */
const heard = async (parts: Parts, epoch: number): Promise<void> => {
  const { ground, now } = parts;
  const { state } = ground;
  const current = state.current;
  if (current === undefined || epoch <= current.epoch) return;
  const led = now.role.kind === 'leads';
  await state.save({ ...current, epoch });
  if (led) await stepDown(parts);
};

/** Stops deciding. What was decided is written down first, as far as the time for it goes. */
const stepDown = async (parts: Parts): Promise<void> => {
  const { ground } = parts;
  const { replica, clock, limits, log } = ground;
  const paused = replica.pause();
  paused.catch(() => {});
  // Nobody acknowledges what an old coordinator decides, so that part may never come to its end.
  await Promise.race([paused.catch(() => {}), sleep(clock, limits.pauseMsMax)]);
  log.info({}, 'This host no longer leads');
  seek(parts, undefined, 'reclaims');
};

const takeOver = async (parts: Parts): Promise<void> => {
  const { ground, now } = parts;
  const { clock, limits } = ground;
  if (now.role.kind === 'leads') return;
  const { lonelyMs } = now;
  const insists = lonelyMs !== undefined && clock.monotonicMs() - lonelyMs < limits.insistMs;
  const last = now.role.kind === 'follows' ? now.role.leader : now.role.last;
  change(parts, { kind: 'seeks', sinceMs: clock.monotonicMs(), last });
  await ground.replica.follow(parts.authority);
  try {
    await lead(parts, await succeed(ground, insists));
    now.lonelyMs = undefined;
  } catch (error) {
    if (error instanceof TooFew) now.lonelyMs = clock.monotonicMs();
    seek(parts, last);
    throw error;
  }
};

/** The other one takes over with this host's consent; should that fail, this one takes the pool back. */
const designate = async (parts: Parts, to: Ref<'host'>): Promise<void> => {
  const { ground, now } = parts;
  const { mesh, replica, clock, limits } = ground;
  if (to === ground.host && now.role.kind === 'leads') return;
  if (now.role.kind !== 'leads')
    throw new Fault('HOST_IS_SLAVE', [parts.options.addressOf(coordinatorOf(parts))]);
  if (!ground.isUp(to) || (now.leading?.reachedBy(to) ?? 0) === 0) throw new Fault('HOST_OFFLINE', [to]);
  const paused = replica.pause();
  paused.catch(() => {});
  try {
    await Promise.race([paused, sleep(clock, limits.pauseMsMax)]);
    await mesh.call(to, 'takeOver', {}, { timeoutMs: designateMsMax });
  } catch (error) {
    await takeBack(parts);
    throw error instanceof Fault ? error : new Fault('CANNOT_CONTACT_HOST', [to]);
  }
};

const designateMsMax = 20_000;

const takeBack = async (parts: Parts): Promise<void> => {
  const { ground } = parts;
  const { leader, epoch } = await whoLeads(ground);
  if (leader !== undefined) return follow(parts, leader, epoch);
  seek(parts, undefined, 'reclaims');
};

/** What this host answers the others. */
const serve = (parts: Parts): void => {
  const { ground, now } = parts;
  const { mesh, replica, state } = ground;
  const who = (): Who => ({
    epoch: state.current?.epoch ?? 0,
    leads: now.role.kind === 'leads' && state.current?.led === state.current?.epoch,
    leader: now.role.kind === 'follows' ? now.role.leader : '',
    position: replica.position,
  });
  const leads = (): Leading => {
    if (now.leading === undefined) throw new Fault('HOST_IS_SLAVE', [coordinatorOf(parts)]);
    return now.leading;
  };
  mesh.serve('who', async () => who(), { anyEpoch: true });
  mesh.serve('lead', async (payload, { from }) => {
    const { epoch, again } = fieldsOf(payload);
    const told = countOf(epoch);
    if (told < (state.current?.epoch ?? 0) || now.role.kind === 'leads') return { follows: false };
    void follow(parts, from as Ref<'host'>, told, flagOf(again));
    return { follows: true };
  });
  mesh.serve('consent', async (payload, { from }) => {
    const epoch = countOf(fieldsOf(payload)['epoch']);
    // The frame itself has raised the epoch to this one at most; a higher one belongs to somebody else.
    if (epoch < (state.current?.epoch ?? 0)) return {};
    await heard(parts, epoch);
    const current = state.current;
    if (current === undefined || !isFree(current, epoch, from)) return {};
    // It is on disk before it is given: nobody else ever has the consent of this host to this epoch.
    await state.save({ ...current, consent: { epoch, host: from as Ref<'host'> } });
    if (now.role.kind === 'follows') seek(parts, undefined);
    return { position: replica.position };
  });
  mesh.serve('takeOver', async (_, { from }) => {
    assertLeader(parts, from);
    await takeOver(parts);
    return {};
  });
  mesh.serve('follow', async (payload, { from }) =>
    leads().follow(from as Ref<'host'>, positionOf(fieldsOf(payload)['position'])),
  );
  const copies = copiesOf(replica);
  mesh.serve('copy', async (payload, { from }) => ({
    piece: copies.next(from, flagOf(fieldsOf(payload)['begin'])),
  }));
  mesh.serve('since', async (payload) => ({
    batch: replica.since(positionOf(fieldsOf(payload)['position'])),
  }));
  mesh.serve('propose', async (payload, { from }) => {
    // Whoever does not decide answers nothing, and is asked no more.
    if (now.role.kind !== 'leads') return {};
    const { proposal } = fieldsOf(payload);
    assertOwnPeer(proposal, from);
    try {
      return await replica.decide(proposal);
    } catch (error) {
      if (error instanceof NotLeading) return {};
      throw error;
    }
  });
  mesh.serve('settled', async (payload, { from }) => {
    assertLeader(parts, from);
    replica.acknowledge(countOf(fieldsOf(payload)['generation']));
    return {};
  });
  mesh.serve('apply', async (payload, { from }) => {
    assertLeader(parts, from);
    return { position: await replica.apply(fieldsOf(payload)['batch'] as never) };
  });
};

const assertLeader = ({ now }: Parts, from: string): void => {
  if (now.role.kind === 'follows' && now.role.leader === from) return;
  throw new Fault('INTERNAL_ERROR', ['This host follows somebody else']);
};

/** How a host is reached, and by which certificate it is known, no other host may say but the leader. */
export const assertOwnPeer = (proposal: unknown, from: string): void => {
  for (const change of listOf(fieldsOf(proposal)['changes'])) {
    const { cls, ref, op } = fieldsOf(change);
    if (cls !== 'xenact_peer' || (ref === from && op !== 'delete')) continue;
    throw new Fault('INTERNAL_ERROR', ['A host says only of itself how it is known']);
  }
};

/** The consent to an epoch was given to nobody else, this host included. */
const isFree = ({ epoch, led, consent }: PoolState, asked: number, from: string): boolean =>
  epoch === asked && led !== asked && (consent?.epoch !== asked || consent.host === from);
