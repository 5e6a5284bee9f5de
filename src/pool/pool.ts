import { isDeepStrictEqual } from 'node:util';
import type { Ref } from '../model/types.ts';
import type { Availability } from '../objects/availability.ts';
import type { Invoker } from '../objects/invoke.ts';
import type { Places } from '../objects/places.ts';
import { sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import { NotLeading } from '../store/committing.ts';
import type { Leader, Log } from '../store/log.ts';
import type { Authority } from '../store/proposal.ts';
import { serveClients } from './clients.ts';
import { addressOfPeer, hostsOf, type PoolContext, peerRef } from './context.ts';
import { type Duty, type DutyEffect, type DutyMessage, dutyMachine } from './duty.ts';
import { forwarding, serveCarried } from './forwarding.ts';
import { watchLiveness } from './liveness.ts';
import { authorityOf } from './proposals.ts';
import { fieldsOf, flagOf, listOf } from './protocol.ts';

/** The place of this host in its pool. */
export interface Pool {
  readonly duty: Duty;
  readonly places: Places;
  readonly availability: () => Availability;
  /** Calls `told` at each change of `availability`, until the returned function is called. */
  readonly onAvailability: (told: () => void) => () => void;
  /**
   * Takes up the duty that the log gives this host. Resolves once it leads, follows, or knows what it waits
   * for. What others ask of the objects that live here waits until this host is prepared for it.
   */
  start(invoker: Invoker, prepared?: Promise<void>): Promise<void>;
  /**
   * Makes this host the coordinator. `force`: also where something may be missing. Throws a fault that says
   * what to do.
   */
  takeOver(force: boolean): Promise<void>;
  /** Makes another host the coordinator. Only a coordinator can. */
  designate(host: Ref<'host'>): Promise<void>;
  /** All hosts that follow this one, once those that are linked had the time to. */
  recover(): Promise<readonly Ref<'host'>[]>;
  /**
   * Throws unless the host is the one that this host follows. A sender is known by its pinned certificate and
   * the mesh answers no lower epoch, so what passes here is the word of the leader of the present epoch.
   */
  assertLeader(host: string): void;
  /** Told by the mesh of a higher epoch than this host's. */
  heard(epoch: number): Promise<void>;
  stop(): Promise<void>;
}

export interface PoolOptions {
  /** The pool's commits, and who may add to them. */
  readonly commits: Log;
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
  /** A host is not live any more. Asked again until it succeeds, or the host is back. */
  readonly onDead?: (host: Ref<'host'>) => Promise<unknown>;
}

/** State of the shell that performs the effects of `dutyMachine`. */
interface Shell {
  readonly context: PoolContext;
  readonly options: PoolOptions;
  readonly authority: Authority;
  duty: Duty;
  readonly listeners: Set<() => void>;
  /** Ends what was begun for the present duty. */
  turn: AbortController;
  /** Since when there is no leader, or this host has not caught up with it. On the monotonic clock. */
  sinceMs: number;
  /** The rows of the pool are up to date. */
  prepared: boolean;
}

export const poolOf = (context: PoolContext, options: PoolOptions): Pool => {
  const { commits } = options;
  const leader = (): Ref<'host'> | undefined => {
    const { duty } = shell;
    return duty.kind === 'follows' && duty.synced ? duty.leader : undefined;
  };
  const shell: Shell = {
    ...{ context, options, duty: { kind: 'starts' }, listeners: new Set() },
    ...{ turn: new AbortController(), sinceMs: context.clock.monotonicMs(), prepared: false },
    authority: authorityOf(context, leader),
  };
  serve(shell);
  let stopTelling = (): void => {};
  return {
    get duty() {
      return shell.duty;
    },
    places: forwarding(context, () => coordinatorOf(shell)),
    availability: () => availabilityOf(shell),
    onAvailability: (told) => {
      shell.listeners.add(told);
      return () => shell.listeners.delete(told);
    },
    start: async (invoker, prepared = Promise.resolve()) => {
      serveCarried(context, invoker, options.cancel, prepared);
      serveClients(context, invoker, prepared);
      stopTelling = commits.leadership((leadership) => step(shell, { kind: 'told', leadership }));
      await until(shell, ({ duty }) =>
        duty.kind === 'leads'
          ? shell.prepared
          : duty.kind === 'follows' || duty.kind === 'stopped' || (duty.kind === 'seeks' && !!duty.why),
      );
    },
    takeOver: async (force) => {
      await commits.promote({ insist: force });
      const { clock, limits } = context;
      const waited = until(shell, ({ duty }) => isLeading(duty));
      await Promise.race([waited, sleep(clock, limits.applyMsMax)]);
    },
    designate: async (host) => {
      if (host === context.host && isLeading(shell.duty)) return;
      if (!isLeading(shell.duty)) throw new Fault('HOST_IS_SLAVE', [options.addressOf(coordinatorOf(shell))]);
      await commits.handOver(host);
    },
    recover: () => recover(shell),
    assertLeader: (from) => {
      const { duty } = shell;
      if (duty.kind === 'follows' && duty.leader === from) return;
      throw new Fault('INTERNAL_ERROR', ['This host follows somebody else']);
    },
    heard: async (epoch) => {
      step(shell, { kind: 'heard', epoch });
      await commits.heard(epoch);
    },
    stop: async () => {
      await commits.close();
      stopTelling();
      step(shell, { kind: 'stop' });
    },
  };
};

const isLeading = (duty: Duty): boolean => duty.kind === 'leads' && duty.ready;

/** Resolves once the place is as asked for. */
const until = (shell: Shell, met: (shell: Shell) => boolean): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (!met(shell)) return;
      shell.listeners.delete(look);
      resolve();
    };
    shell.listeners.add(look);
    look();
  });

const coordinatorOf = ({ context, duty }: Shell): Ref<'host'> => {
  if (duty.kind === 'leads') return context.host;
  if (duty.kind === 'follows') return duty.leader;
  return (duty.kind === 'seeks' ? duty.last : undefined) ?? context.host;
};

const availabilityOf = ({ context, options, duty, sinceMs }: Shell): Availability => {
  if (isLeading(duty)) return {};
  const member: Availability = { member: true, ...(options.serves && { serves: true as const }) };
  if (duty.kind === 'follows' && duty.synced) {
    return { ...member, ...(!options.serves && { coordinator: options.addressOf(duty.leader) }) };
  }
  const last = duty.kind === 'seeks' ? duty.last : duty.kind === 'follows' ? duty.leader : undefined;
  const patient = context.clock.monotonicMs() - sinceMs < context.limits.emergencyMs;
  if (last !== undefined && patient) return { ...member, coordinator: options.addressOf(last) };
  const why = duty.kind === 'seeks' ? duty.why : undefined;
  return { ...member, emergency: why ?? new Fault('HOST_STILL_BOOTING') };
};

/** Asks the machine what a message leads to, and does it. */
const step = (shell: Shell, message: DutyMessage): void => {
  const before = shell.duty;
  const [next, ...effects] = dutyMachine(before, message);
  shell.duty = next;
  const wasThere = before.kind === 'leads' || (before.kind === 'follows' && before.synced);
  const isThere = next.kind === 'leads' || (next.kind === 'follows' && next.synced);
  if (wasThere && !isThere) shell.sinceMs = shell.context.clock.monotonicMs();
  for (const effect of effects) perform(shell, effect);
  tell(shell);
};

const tell = ({ listeners }: Shell): void => {
  for (const told of [...listeners]) told();
};

const perform = (shell: Shell, effect: DutyEffect): void => {
  const { context, authority } = shell;
  const { replica, log } = context;
  if (effect.do === 'end') {
    shell.turn.abort(new Error('The host has another duty'));
    shell.turn = new AbortController();
    shell.prepared = false;
  } else if (effect.do === 'wait') {
    replica
      .follow(authority)
      .catch((error: unknown) => log.warn({ error: String(error) }, 'Waiting for a coordinator'));
  } else if (effect.do === 'lead') void lead(shell, effect.epoch);
  else if (effect.do === 'follow') void follow(shell, effect);
  else if (effect.do === 'noteLeader') void noteLeader(shell, effect.host);
  else if (effect.do === 'beginLeading') beginLeading(shell);
  else retry(shell, effect.epoch);
};

const retry = (shell: Shell, epoch: number): void => {
  const { clock, limits } = shell.context;
  const { signal } = shell.turn;
  clock.after(limits.seekMs, () => {
    if (!signal.aborted) step(shell, { kind: 'again', epoch });
  });
};

const lead = async (shell: Shell, epoch: number): Promise<void> => {
  const { context, options, turn } = shell;
  const { replica, log } = context;
  try {
    await replica.lead(epoch, options.commits);
    // Another duty that came meanwhile has been taken up by the replica, too.
    if (!turn.signal.aborted) step(shell, { kind: 'began', epoch });
    else if (shell.duty.kind !== 'leads') perform(shell, { do: 'wait' });
  } catch (error) {
    log.warn({ error: String(error), epoch }, 'This host cannot lead yet');
    if (!turn.signal.aborted) step(shell, { kind: 'failed', epoch });
  }
};

const follow = async (shell: Shell, { host, epoch }: Leader): Promise<void> => {
  const { context, options, authority } = shell;
  const { replica, log } = context;
  const { signal } = shell.turn;
  const synced = (): void => {
    if (!signal.aborted) step(shell, { kind: 'synced', epoch });
  };
  try {
    await replica.follow(authority);
    await options.commits.follow({ host, epoch }, replica, synced, signal);
  } catch (error) {
    if (!signal.aborted) log.info({ error: String(error), host }, 'The coordinator cannot be followed now');
  }
  if (!signal.aborted) step(shell, { kind: 'failed', epoch });
};

/** Notes in the state file where the leader is, so that it is found also without any rows. */
const noteLeader = async (shell: Shell, host: Ref<'host'>): Promise<void> => {
  const { context, options } = shell;
  const { store, state, log } = context;
  const { current } = state;
  const row = store.committed.get('xenact_peer', peerRef(host));
  if (current?.role === 'member' && row !== undefined) {
    const coordinator = addressOfPeer(row);
    // The rows have the others by now.
    const { others, ...rest } = current;
    if (others !== undefined || !isDeepStrictEqual(current.coordinator, coordinator)) {
      await state
        .save({ ...rest, coordinator })
        .catch((error: unknown) => log.warn({ error: String(error) }, 'The coordinator is not noted yet'));
    }
  }
  await options.onFollow?.(host);
};

const beginLeading = (shell: Shell): void => {
  const { context, options } = shell;
  const { signal } = shell.turn;
  const liveness = watchLiveness(context, options.onDead);
  signal.addEventListener('abort', () => liveness.stop(), { once: true });
  void prepare(shell, signal);
};

/** Brings the rows of the pool up to date, again and again until it works. Meanwhile this host leads. */
const prepare = async (shell: Shell, signal: AbortSignal): Promise<void> => {
  const { clock, log, limits } = shell.context;
  try {
    await shell.options.onLead();
  } catch (error) {
    log.warn({ error: String(error) }, 'The rows of the pool are not up to date yet');
    clock.after(limits.seekMs, () => {
      if (!signal.aborted) void prepare(shell, signal);
    });
  }
  if (signal.aborted) return;
  shell.prepared = true;
  tell(shell);
};

/** Members follow by themselves; this waits for those that are linked, and answers which do. */
const recover = async ({ context }: Shell): Promise<readonly Ref<'host'>[]> => {
  const { mesh, clock, limits, host } = context;
  const untilMs = clock.monotonicMs() + limits.recoverMsMax;
  for (;;) {
    const asked = hostsOf(context).filter((one) => one !== host && context.isUp(one));
    const follow = await Promise.all(
      asked.map((one) =>
        mesh.call(one, 'follows', {}, { timeoutMs: limits.answerMsMax }).then(
          (answer) => flagOf(fieldsOf(answer)['you']),
          () => false,
        ),
      ),
    );
    if (follow.every(Boolean) || clock.monotonicMs() > untilMs)
      return [host, ...asked.filter((_, index) => follow[index])];
    await sleep(clock, limits.seekMs);
  }
};

/** What this host answers the others. */
const serve = (shell: Shell): void => {
  const { mesh, replica } = shell.context;
  mesh.serve('propose', async (payload, { from }) => {
    // An empty answer says that this host does not decide, so that it is asked no more.
    if (!isLeading(shell.duty)) return {};
    const { proposal } = fieldsOf(payload);
    assertMember(shell.context, from);
    assertOwnPeer(proposal, from);
    try {
      return await replica.decide(proposal);
    } catch (error) {
      if (error instanceof NotLeading) return {};
      throw error;
    }
  });
  mesh.serve('follows', async (_, { from }) => {
    const { duty } = shell;
    return { you: duty.kind === 'follows' && duty.synced && duty.leader === from };
  });
};

/**
 * What a host begins that was put out of the pool would stay for good: what it was doing ended with its row.
 */
export const assertMember = ({ store }: Pick<PoolContext, 'store'>, from: string): void => {
  if (store.latest.get('xenact_peer', peerRef(from as Ref<'host'>)) === undefined)
    throw new Fault('HOST_STILL_BOOTING', []);
};

/**
 * A row that says how a host is reached may be changed by that host and by the leader, and by nobody else.
 */
export const assertOwnPeer = (proposal: unknown, from: string): void => {
  for (const change of listOf(fieldsOf(proposal)['changes'])) {
    const { cls, ref, op } = fieldsOf(change);
    if (cls !== 'xenact_peer' || (ref === from && op !== 'delete')) continue;
    throw new Fault('INTERNAL_ERROR', ['A host says only of itself how it is known']);
  }
};
