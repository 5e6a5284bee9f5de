import { type ActorGroup, type ActorSystem, actorSystem, type Local } from '../kernel/nact.ts';
import type { ClassName } from '../model/class.ts';
import type { WireMessage } from '../model/derive.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { asFault, Fault } from '../std/fault.ts';
import type { Change } from '../store/version.ts';
import type { Tx, View } from '../store/view.ts';
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
  cancel(task: Ref<'task'>): boolean;
  /** To be told of every staged commit, so that what waits is tried again. */
  staged(changes: readonly Change[]): void;
  readonly awake: number;
  stop(): void;
}

export interface ObjectsOptions {
  readonly catalog: Catalog;
  readonly view: View;
  readonly services: Pick<Services, 'clock' | 'log'>;
  /** How long a job may wait for others to end before it is refused with what it waits for. */
  readonly waitMs: number;
}

type Message = AdmissionMsg | { readonly type: 'turn'; readonly run: () => void };
type Effect = AdmissionFx | { readonly do: 'run'; readonly run: () => void };

interface Live {
  readonly actor: Local<Message>;
  readonly key: string;
}

interface Pending {
  readonly job: Job;
  readonly owner: string;
  readonly controller: AbortController;
  begun: boolean;
  expire?: () => void;
}

const tooBusy = (): Fault => new Fault('TOO_MANY_PENDING_TASKS');

export const objectsOf = (options: ObjectsOptions): Objects => {
  const system: ActorSystem = actorSystem('xenact');
  const groups = new Map<string, ActorGroup>();
  const live = new Map<string, Live>();
  const jobs = new Map<number, Pending>();
  const byTask = new Map<string, Set<number>>();
  /** Rows that waiting jobs wait for, and the objects to wake when such a row changes. */
  const blockers = new Map<string, Set<string>>();
  let lastJob = 0;

  const refusal = (asked: Asked): Fault | undefined => {
    const job = jobs.get(asked.id)?.job;
    if (job === undefined) return undefined;
    const exists = asked.ref === nullRef || options.view.get(job.cls, asked.ref as Ref<any>) !== undefined;
    if (!exists) return new Fault('HANDLE_INVALID', [job.cls, asked.ref]);
    const behaviour = options.catalog.behaviour(job.cls);
    const own =
      asked.operation === undefined
        ? undefined
        : behaviour?.admit?.(options.view, asked.ref as Ref<any>, asked.operation);
    return own ?? job.unless?.(options.view);
  };

  const machine = admission(refusal);

  const forget = (id: number): void => {
    const known = jobs.get(id);
    known?.expire?.();
    const together = known === undefined ? undefined : byTask.get(known.job.task);
    together?.delete(id);
    if (known !== undefined && together?.size === 0) byTask.delete(known.job.task);
    jobs.delete(id);
  };

  const hold = (asked: Asked, fault: Fault): void => {
    const known = jobs.get(asked.id);
    if (known === undefined) return;
    const blocker = fault.params[1] ?? asked.ref;
    const sleepers = blockers.get(blocker) ?? new Set();
    blockers.set(blocker, sleepers.add(known.owner));
    known.expire ??= options.services.clock.after(options.waitMs, () => withdraw(asked.id, fault));
  };

  const perform = (effect: Effect): Message | undefined => {
    if (effect.do === 'run') effect.run();
    if (effect.do === 'again') return { type: 'retry' };
    if (effect.do === 'cut') cut(effect.id);
    if (effect.do === 'hold') hold(effect.asked, effect.fault);
    if (effect.do === 'begin') {
      const known = jobs.get(effect.asked.id);
      if (known === undefined) return undefined;
      known.expire?.();
      known.begun = true;
      known.job.begin(known.controller);
    }
    if (effect.do === 'refuse') {
      const known = jobs.get(effect.asked.id);
      forget(effect.asked.id);
      known?.job.refuse(effect.fault);
    }
    return undefined;
  };

  const awaken = (cls: string, ref: string): Live => {
    const key = `${cls}/${ref}`;
    const known = live.get(key);
    if (known !== undefined) return known;
    const group = groups.get(cls) ?? system.group(cls);
    groups.set(cls, group);
    const actor: Local<Message> = group.spawn<Underway, Message, Effect>({
      name: ref.replaceAll(/[^0-9a-zA-Z-]/g, '_'),
      initial: idle,
      machine: (state, message) =>
        message.type === 'turn' ? [state, { do: 'run', run: message.run }] : machine(state, message),
      perform,
      // An object with nothing to do sleeps: the row is the truth, and waking costs microseconds.
      rested: (state) => {
        if (state.running.length > 0 || state.waiting.length > 0 || actor.pending > 0) return;
        live.delete(key);
        actor.stop();
      },
      onBug: (error) => options.services.log.error({ error, cls, ref }, 'An object failed in its turn'),
    });
    const awake: Live = { actor, key };
    live.set(key, awake);
    return awake;
  };

  const ownerOf = (cls: ClassName, ref: Ref): Live => {
    const record = options.view.get(cls, ref as Ref<any>);
    const owner = record === undefined ? undefined : options.catalog.behaviour(cls)?.owner?.(record as never);
    return owner === undefined ? awaken(cls, ref) : awaken(owner[0], owner[1]);
  };

  const tell = (key: string, message: Message): void => {
    live.get(key)?.actor.tell(message);
  };

  const withdraw = (id: number, fault: Fault): void => {
    const known = jobs.get(id);
    if (known === undefined) return;
    forget(id);
    known.job.refuse(fault);
    tell(known.owner, { type: 'ended', id });
  };

  const cut = (id: number): void => {
    const known = jobs.get(id);
    known?.controller.abort(new Fault('TASK_CANCELLED', [known.job.task]));
  };

  return {
    newJobId: () => {
      lastJob += 1;
      return lastJob;
    },
    ask: (job) => {
      const owner = ownerOf(job.cls, job.asked.ref as Ref);
      jobs.set(job.asked.id, { job, owner: owner.key, controller: new AbortController(), begun: false });
      if (job.task !== nullRef) byTask.set(job.task, (byTask.get(job.task) ?? new Set()).add(job.asked.id));
      if (owner.actor.tell({ type: 'ask', asked: job.asked })) return;
      forget(job.asked.id);
      job.refuse(tooBusy());
    },
    turn: (cls, ref, decide) =>
      new Promise((resolve, reject) => {
        const run = (): void => {
          try {
            decide().then(resolve, reject);
          } catch (error) {
            reject(error);
          }
        };
        if (!ownerOf(cls, ref).actor.tell({ type: 'turn', run })) reject(tooBusy());
      }),
    ended: (job) => {
      const known = jobs.get(job.asked.id);
      forget(job.asked.id);
      if (known !== undefined) tell(known.owner, { type: 'ended', id: job.asked.id });
    },
    cancel: (task) => {
      // A task stands for its own work and for the calls that this work makes.
      const ids = [...(byTask.get(task) ?? [])];
      for (const id of ids) {
        if (jobs.get(id)?.begun === true) cut(id);
        else withdraw(id, new Fault('TASK_CANCELLED', [task]));
      }
      return ids.length > 0;
    },
    staged: (changes) => {
      if (blockers.size === 0) return;
      for (const { entry } of changes) {
        const sleepers = blockers.get(entry.ref);
        if (sleepers === undefined) continue;
        blockers.delete(entry.ref);
        for (const key of sleepers) tell(key, { type: 'retry' });
      }
    },
    get awake() {
      return live.size;
    },
    stop: () => system.stop(),
  };
};

/** Adds what follows from a commit: the derived fields of its rows and of the rows that depend on them. */
export const deriveRows =
  (catalog: Catalog) =>
  (
    tx: Tx,
    drafts: readonly {
      cls: string;
      ref: string;
      before: { record: object } | undefined;
      record: object | undefined;
    }[],
  ): void => {
    const targets = new Map<string, readonly [ClassName, Ref]>();
    const add = (cls: ClassName, ref: Ref): void => {
      if (catalog.behaviour(cls)?.derive !== undefined) targets.set(`${cls}/${ref}`, [cls, ref]);
    };
    for (const { cls, ref, before, record } of drafts) {
      add(cls as ClassName, ref as Ref);
      const affects = catalog.behaviour(cls)?.affects;
      if (affects === undefined) continue;
      for (const one of [before?.record, record]) {
        if (one !== undefined) for (const [other, otherRef] of affects(one as never)) add(other, otherRef);
      }
    }
    for (const [cls, ref] of targets.values()) {
      const record = tx.get(cls, ref as Ref<any>);
      if (record === undefined) continue;
      tx.patch(
        cls,
        ref as Ref<any>,
        catalog.behaviour(cls)?.derive?.(tx, ref as Ref<any>, record as never) as never,
      );
    }
  };

export const internalFault = (
  error: unknown,
  message: WireMessage,
  services: Pick<Services, 'log'>,
): Fault => {
  const fault = asFault(error);
  if (!(error instanceof Fault)) {
    services.log.error(
      { error, method: message.method },
      'A handler failed with something that is not a fault',
    );
  }
  return fault;
};
