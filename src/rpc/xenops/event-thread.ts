import {
  type Attendance,
  type Hypervisor,
  isLost,
  type VmState,
  XenopsError,
} from '../../drivers/hypervisor/hypervisor.ts';
import { type Clock, sleep } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import { type Attending, attending } from './attending.ts';
import { lost, type XenopsCall } from './call.ts';
import { updateKey, type XenopsUpdate, type XenopsUpdates } from './tasks.ts';
import { instanceOf, pollUpdates } from './updates.ts';

type Reports = Parameters<Hypervisor['watch']>[0];

/** Hands what changed at the daemon to the reports, of each VM one after another, for as long as it runs. */
export interface EventThread {
  watch(reports: Reports): void;
  barrier(vm: string): Promise<void>;
  /** The VM is reported once more, behind what the daemon has told so far, whether or not it still has it. */
  again(vm: string): void;
  attend(vm: string): Attendance;
  close(): Promise<void>;
}

const DEBUG_INFO = 'event thread';
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 10_000;
/** How soon a report that failed is tried again. */
const RETRY_S = 1;
const BARRIERS_MAX = 10_000;

interface BarrierWaiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface ThreadOptions {
  readonly call: XenopsCall;
  readonly stat: (vm: string) => Promise<VmState | undefined>;
  readonly clock: Clock;
  readonly log: Log;
}

interface Thread extends ThreadOptions {
  readonly closing: AbortController;
  readonly barriers: Map<number, BarrierWaiter>;
  /** VMs that are to be reported although the daemon may tell nothing of them. */
  readonly asked: Set<string>;
  readonly attended: Attending;
}

const failBarriers = ({ barriers }: Thread, error: unknown): void => {
  for (const barrier of [...barriers.values()]) barrier.reject(error);
  barriers.clear();
};

const report = async ({ stat }: Thread, reports: Reports, [kind, id]: XenopsUpdate): Promise<void> => {
  if (kind === 'Vm') await reports.onVm(id, await stat(id));
  else if (kind === 'Vbd') await reports.onVbd(id);
  else if (kind === 'Vif') await reports.onVif(id);
};

/** VMs that are reported of at the same time. */
const VMS_AT_ONCE_MAX = 64;

/** Of each VM one step after another, of several VMs side by side. Rejects once all have ended. */
const inLanes = async (lanes: Iterable<readonly (() => Promise<void>)[]>): Promise<void> => {
  const next = lanes[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let lane = next.next(); lane.done !== true; lane = next.next()) {
      for (const step of lane.value) await step();
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: VMS_AT_ONCE_MAX }, work));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
};

const vmOf = (update: XenopsUpdate): string => (update[0] === 'Vm' ? update[1] : (update[1][0] ?? ''));

/**
 * One answer of the daemon: of each VM its barriers first, each behind what it stands for, then the rest. No
 * VM waits for another.
 */
const handle = async (
  thread: Thread,
  reports: Reports,
  found: XenopsUpdates,
  unreported: readonly XenopsUpdate[],
): Promise<readonly XenopsUpdate[]> => {
  const { call, log, closing, barriers, attended } = thread;
  const failures = new Map<string, { readonly update: XenopsUpdate; readonly error: unknown }>();
  const seen = new Set<string>();
  const lanes = new Map<string, (() => Promise<void>)[]>();
  const add = (lane: string, step: () => Promise<void>): void => {
    const steps = lanes.get(lane);
    if (steps === undefined) lanes.set(lane, [step]);
    else steps.push(step);
  };
  const once = async (update: XenopsUpdate): Promise<void> => {
    const key = updateKey(update);
    // What is asked for now is at least as new as anything this answer tells of.
    if (seen.has(key)) return;
    seen.add(key);
    if (attended.keeps(vmOf(update))) return;
    try {
      await report(thread, reports, update);
    } catch (error) {
      if (isLost(error) || closing.signal.aborted) throw error;
      log.error({ update: key, error }, 'a report failed and will be repeated');
      failures.set(key, { update, error });
    }
  };
  for (const { id, updates } of found.barriers) {
    const [first] = updates;
    add(first === undefined ? `barrier ${id}` : vmOf(first), async () => {
      for (const update of updates) await once(update);
      const waiter = barriers.get(id);
      barriers.delete(id);
      const failed = updates
        .map((update) => failures.get(updateKey(update)))
        .find((each) => each !== undefined);
      if (failed === undefined) waiter?.resolve();
      else waiter?.reject(failed.error);
      await call('UPDATES.remove_barrier', DEBUG_INFO, { id: BigInt(id) }, () => {});
    });
  }
  for (const update of [...unreported, ...found.updates]) {
    if (update[0] !== 'Task') add(vmOf(update), () => once(update));
  }
  await inLanes(lanes.values());
  return [...failures.values()].map(({ update }) => update);
};

const taken = ({ asked }: Thread): readonly XenopsUpdate[] => {
  const vms = [...asked];
  asked.clear();
  return vms.map((vm) => ['Vm', vm]);
};

const follow = async (
  thread: Thread,
  reports: Reports,
  wasLost: boolean,
  isThere: () => void,
): Promise<never> => {
  const { call } = thread;
  const { signal } = thread.closing;
  const instanceId = await instanceOf(call, DEBUG_INFO, signal);
  if (wasLost) await reports.onReconnect();
  isThere();
  let lastId: number | undefined;
  let unreported: readonly XenopsUpdate[] = [];
  for (;;) {
    const pollS = unreported.length > 0 ? RETRY_S : undefined;
    const found = await pollUpdates(call, DEBUG_INFO, { instanceId, lastId }, signal, pollS);
    unreported = await handle(thread, reports, found, [...unreported, ...taken(thread)]);
    lastId = found.next;
  }
};

const run = async (thread: Thread, reports: Reports): Promise<void> => {
  const { clock, closing } = thread;
  let wasLost = false;
  for (let backoffMs = BACKOFF_MS_MIN; ; backoffMs = Math.min(2 * backoffMs, BACKOFF_MS_MAX)) {
    try {
      await follow(thread, reports, wasLost, () => {
        wasLost = false;
        backoffMs = BACKOFF_MS_MIN;
      });
    } catch (error) {
      if (closing.signal.aborted) return;
      failBarriers(thread, isLost(error) ? error : lost(String(error)));
      if (!wasLost) reports.onLost(error);
      wasLost = true;
    }
    await sleep(clock, backoffMs, closing.signal).catch(() => {});
    if (closing.signal.aborted) return;
  }
};

export const eventThread = (options: ThreadOptions): EventThread => {
  const { call, clock, stat } = options;
  const again = (vm: string): void => {
    thread.asked.add(vm);
    // Ends the wait for what the daemon tells by itself. One that is away tells everything when it is back.
    barrier(vm).catch(() => {});
  };
  const thread: Thread = {
    ...options,
    ...{ closing: new AbortController(), barriers: new Map(), asked: new Set() },
    attended: attending({ clock, stat, again, handled: (vm) => barrier(vm) }),
  };
  const { closing, barriers } = thread;
  /** Numbers of barriers outlive this process in the daemon, so they do not start over with it. */
  let lastBarrier = clock.now();
  let running: Promise<void> | undefined;
  const barrier = (vm: string): Promise<void> =>
    new Promise((resolve, reject) => {
      if (running === undefined) return reject(new Error('A barrier needs watch() to be called before'));
      if (closing.signal.aborted) return reject(lost('this client is closed'));
      if (barriers.size >= BARRIERS_MAX) {
        return reject(new XenopsError('Internal_error', [`${BARRIERS_MAX} barriers are waited for already`]));
      }
      lastBarrier += 1;
      const id = lastBarrier;
      barriers.set(id, { resolve, reject });
      call('UPDATES.inject_barrier', DEBUG_INFO, { vm_id: vm, id: BigInt(id) }, () => {}).catch(
        (error: unknown) => {
          barriers.delete(id);
          reject(error);
        },
      );
    });
  return {
    watch: (reports) => {
      if (running !== undefined) throw new Error('The hypervisor is watched already');
      running = run(thread, reports);
    },
    barrier,
    again,
    attend: thread.attended.attend,
    close: async () => {
      closing.abort();
      failBarriers(thread, lost('this client is closed'));
      await running;
    },
  };
};
