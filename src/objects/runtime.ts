import { type ActorGroup, type ActorSystem, actorSystem, type Local, type Observer } from '../kernel/nact.ts';
import type { ClassName } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { asFault, Fault } from '../std/fault.ts';
import type { Change } from '../store/version.ts';
import type { View } from '../store/view.ts';
import {
  type AdmissionFx,
  type AdmissionMsg,
  type Asked,
  admission,
  idle,
  type Underway,
} from './admission.ts';
import type { Catalog } from './catalog.ts';
import type { Services } from './services.ts';

/** One piece of work or one decision on its way through an object. */
export interface Job {
  readonly asked: Asked;
  readonly cls: ClassName;
  readonly task: Ref<'task'>;
  /** Refusal that depends on the arguments. */
  readonly unless?: (view: View) => Fault | undefined;
  /** Starts it; called in the object's turn, after admission. */
  readonly begin: (controller: AbortController) => void;
  readonly refuse: (fault: Fault) => void;
}

/** The objects that are awake on this host. */
export interface Objects {
  /** An id for a job that no other job on this host has. */
  newJobId(): number;
  /** Hands a job to the object that owns its row. */
  ask(job: Job): void;
  /** Runs `decide` in a turn of the object's mailbox. What it throws rejects. */
  turn<T>(cls: ClassName, ref: Ref, decide: () => Promise<T>): Promise<T>;
  ended(job: Job): void;
  /** Ends a job that waits or runs, with this fault. */
  abort(job: Job, fault: Fault): void;
  cancel(task: Ref<'task'>): boolean;
  /** To be told of every staged commit, so that what waits is tried again. */
  staged(changes: readonly Change[]): void;
  readonly awake: number;
  /** What is awake now, and what it does. */
  look(): readonly ActorState[];
  /** Tells of every message that an object handles from now on; undefined: of none. */
  observe(observer: Observer | undefined): void;
  stop(): void;
}

/** An object that is awake. */
export interface ActorState {
  /** `VM/OpaqueRef:...` */
  readonly key: string;
  readonly running: readonly Asked[];
  readonly waiting: readonly Asked[];
  /** Messages that it has not handled yet. */
  readonly queued: number;
}

export interface ObjectsOptions {
  readonly catalog: Catalog;
  readonly view: View;
  readonly services: Pick<Services, 'clock' | 'log'>;
  /** Says that a row lives on another host by now. */
  readonly elsewhere?: (cls: ClassName, ref: Ref) => Fault | undefined;
  /** How long a job may wait for others to end before it is refused with what it waits for. */
  readonly waitMs: number;
}

type Message = AdmissionMsg | { readonly type: 'turn'; readonly run: () => void };
type Effect = AdmissionFx | { readonly do: 'run'; readonly run: () => void };

interface Live {
  readonly key: string;
  readonly actor: Local<Message>;
}

/** A job that was asked for and has not ended. */
interface Pending {
  readonly job: Job;
  readonly owner: string;
  readonly controller: AbortController;
  begun: boolean;
  /** Stops the clock of a job that waits; undefined of one that does not. */
  stopClock: (() => void) | undefined;
}

interface Runtime extends ObjectsOptions {
  readonly system: ActorSystem;
  readonly groups: Map<string, ActorGroup>;
  readonly live: Map<string, Live>;
  readonly pending: Map<number, Pending>;
  readonly byTask: Map<string, Set<number>>;
  /** Rows that waiting jobs wait for, and the objects to wake when such a row changes. */
  readonly blockers: Map<string, Set<string>>;
  lastJob: number;
}

export const objectsOf = (options: ObjectsOptions): Objects => {
  const runtime: Runtime = {
    ...options,
    system: actorSystem('xenact'),
    groups: new Map(),
    live: new Map(),
    pending: new Map(),
    byTask: new Map(),
    blockers: new Map(),
    lastJob: 0,
  };
  return {
    newJobId: () => {
      runtime.lastJob += 1;
      return runtime.lastJob;
    },
    ask: (job) => ask(runtime, job),
    turn: (cls, ref, decide) => turn(runtime, cls, ref, decide),
    ended: ({ asked: { id } }) => {
      const owner = forget(runtime, id)?.owner;
      if (owner !== undefined) tell(runtime, owner, { type: 'ended', id });
    },
    abort: ({ asked: { id } }, fault) => end(runtime, id, fault),
    cancel: (task) => cancel(runtime, task),
    staged: (changes) => wake(runtime, changes),
    get awake() {
      return runtime.live.size;
    },
    look: () => statesOf(runtime),
    observe: runtime.system.observe,
    stop: () => runtime.system.stop(),
  };
};

const statesOf = ({ live, pending }: Runtime): readonly ActorState[] => {
  const jobs = new Map<string, { running: Asked[]; waiting: Asked[] }>();
  for (const { owner, begun, job } of pending.values()) {
    const own = jobs.get(owner) ?? { running: [], waiting: [] };
    jobs.set(owner, own);
    (begun ? own.running : own.waiting).push(job.asked);
  }
  return [...live.values()].map(({ key, actor }) => ({
    key,
    ...(jobs.get(key) ?? { running: [], waiting: [] }),
    queued: actor.pending,
  }));
};

const tooBusy = (): Fault => new Fault('TOO_MANY_PENDING_TASKS');

const ask = (runtime: Runtime, job: Job): void => {
  const { id, ref } = job.asked;
  const owner = ownerOf(runtime, job.cls, ref as Ref);
  const controller = new AbortController();
  runtime.pending.set(id, { job, owner: owner.key, controller, begun: false, stopClock: undefined });
  if (job.task !== nullRef) {
    const together = runtime.byTask.get(job.task) ?? new Set();
    runtime.byTask.set(job.task, together.add(id));
  }
  if (owner.actor.tell({ type: 'ask', asked: job.asked })) return;
  forget(runtime, id);
  job.refuse(tooBusy());
};

const turn = <T>(runtime: Runtime, cls: ClassName, ref: Ref, decide: () => Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const run = (): void => {
      try {
        decide().then(resolve, reject);
      } catch (error) {
        reject(error);
      }
    };
    if (!ownerOf(runtime, cls, ref).actor.tell({ type: 'turn', run })) reject(tooBusy());
  });

/** A task stands for its own work and for the calls that this work makes. */
const cancel = (runtime: Runtime, task: Ref<'task'>): boolean => {
  const ids = [...(runtime.byTask.get(task) ?? [])];
  for (const id of ids) end(runtime, id, new Fault('TASK_CANCELLED', [task]));
  return ids.length > 0;
};

/** Has those try again that wait for a row which has changed. */
const wake = (runtime: Runtime, changes: readonly Change[]): void => {
  const { blockers } = runtime;
  if (blockers.size === 0) return;
  for (const { entry } of changes) {
    const sleepers = blockers.get(entry.ref);
    if (sleepers === undefined) continue;
    blockers.delete(entry.ref);
    for (const key of sleepers) tell(runtime, key, { type: 'retry' });
  }
};

const tell = ({ live }: Runtime, key: string, message: Message): void => {
  live.get(key)?.actor.tell(message);
};

const forget = ({ pending, byTask }: Runtime, id: number): Pending | undefined => {
  const known = pending.get(id);
  if (known === undefined) return undefined;
  known.stopClock?.();
  pending.delete(id);
  const together = byTask.get(known.job.task);
  together?.delete(id);
  if (together?.size === 0) byTask.delete(known.job.task);
  return known;
};

/** Takes back a job that has not begun. */
const withdraw = (runtime: Runtime, id: number, fault: Fault): void => {
  const known = forget(runtime, id);
  if (known === undefined) return;
  known.job.refuse(fault);
  tell(runtime, known.owner, { type: 'ended', id });
};

const end = (runtime: Runtime, id: number, fault: Fault): void => {
  const known = runtime.pending.get(id);
  if (known?.begun === true) known.controller.abort(fault);
  else withdraw(runtime, id, fault);
};

const cut = ({ pending }: Runtime, id: number): void => {
  const known = pending.get(id);
  known?.controller.abort(new Fault('TASK_CANCELLED', [known.job.task]));
};

/** Whoever asks gets an answer: what a rule throws is one too. */
const refusal = (runtime: Runtime, asked: Asked): Fault | undefined => {
  const job = runtime.pending.get(asked.id)?.job;
  if (job === undefined) return undefined;
  try {
    return refusalOf(runtime, asked, job);
  } catch (error) {
    if (!(error instanceof Fault)) {
      const { cls, asked: about } = job;
      runtime.services.log.error({ error, cls, ...about }, 'A rule of admission failed with a bug');
    }
    return asFault(error);
  }
};

const refusalOf = ({ view, catalog, elsewhere }: Runtime, asked: Asked, job: Job): Fault | undefined => {
  const ref = asked.ref as Ref<any>;
  if (asked.ref !== nullRef && view.get(job.cls, ref) === undefined) {
    return new Fault('HANDLE_INVALID', [job.cls, asked.ref]);
  }
  const moved = asked.ref === nullRef ? undefined : elsewhere?.(job.cls, ref);
  if (moved !== undefined) return moved;
  const admit = asked.operation === undefined ? undefined : catalog.behaviour(job.cls)?.admit;
  return admit?.(view, ref, asked.operation as string, asked.insists === true) ?? job.unless?.(view);
};

const ownerOf = (runtime: Runtime, cls: ClassName, ref: Ref): Live => {
  const record = runtime.view.get(cls, ref as Ref<any>);
  const owner = record && runtime.catalog.behaviour(cls)?.owner?.(record as never);
  return owner === undefined ? awaken(runtime, cls, ref) : awaken(runtime, owner[0], owner[1]);
};

const awaken = (runtime: Runtime, cls: string, ref: string): Live => {
  const { live, groups, services } = runtime;
  const key = `${cls}/${ref}`;
  const known = live.get(key);
  if (known !== undefined) return known;
  const group = groups.get(cls) ?? runtime.system.group(cls);
  groups.set(cls, group);
  const admit = admission((asked) => refusal(runtime, asked));
  const actor: Local<Message> = group.spawn<Underway, Message, Effect>({
    name: ref.replaceAll(/[^0-9a-zA-Z-]/g, '_'),
    label: key,
    initial: idle,
    machine: (state, message) =>
      message.type === 'turn' ? [state, { do: 'run', run: message.run }] : admit(state, message),
    perform: (effect) => perform(runtime, effect),
    // An object with nothing to do sleeps: the row is the truth, and waking costs microseconds.
    rested: (state) => {
      if (state.running.length > 0 || state.waiting.length > 0 || actor.pending > 0) return;
      live.delete(key);
      actor.stop();
    },
    onBug: (error) => services.log.error({ error, cls, ref }, 'An object failed in its turn'),
  });
  const awake: Live = { key, actor };
  live.set(key, awake);
  return awake;
};

const perform = (runtime: Runtime, effect: Effect): Message | undefined => {
  switch (effect.do) {
    case 'run':
      effect.run();
      return undefined;
    case 'again':
      return { type: 'retry' };
    case 'cut':
      cut(runtime, effect.id);
      return undefined;
    case 'hold':
      hold(runtime, effect.asked, effect.fault);
      return undefined;
    case 'refuse':
      forget(runtime, effect.asked.id)?.job.refuse(effect.fault);
      return undefined;
    case 'begin':
      begin(runtime, effect.asked);
      return undefined;
  }
};

const begin = ({ pending }: Runtime, { id }: Asked): void => {
  const known = pending.get(id);
  if (known === undefined) return;
  known.stopClock?.();
  known.begun = true;
  known.job.begin(known.controller);
};

/** Lets a job wait for the row that its fault names, not longer than it may. */
const hold = (runtime: Runtime, { id, ref }: Asked, fault: Fault): void => {
  const known = runtime.pending.get(id);
  if (known === undefined) return;
  const blocker = fault.params[1] ?? ref;
  const sleepers = runtime.blockers.get(blocker) ?? new Set();
  runtime.blockers.set(blocker, sleepers.add(known.owner));
  known.stopClock ??= runtime.services.clock.after(runtime.waitMs, () => withdraw(runtime, id, fault));
};
