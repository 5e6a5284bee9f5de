import type { ClassName } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { asFault, Fault } from '../std/fault.ts';
import { type Undo, undoStack } from '../std/undo.ts';
import type { Tx, View } from '../store/view.ts';
import { classOf, handlerArgs, selfOf, subjectOf } from './arguments.ts';
import { type Hold, holdRefusal, mark, unmark, type Worker } from './busy.ts';
import { decided } from './decided.ts';
import { faultOf } from './driver-faults.ts';
import type { ActionHandler, Working } from './implement.ts';
import {
  type CallFor,
  type Invocation,
  type InvokerOptions,
  type RoutedOptions,
  reported,
  type WorkHandler,
} from './invocation.ts';
import { Moved } from './places.ts';
import type { Job } from './runtime.ts';
import { settle } from './settling.ts';
import { endTask, failTask, succeedTask } from './tasks.ts';

/** One piece of work from its admission to its settling. */
interface Run {
  readonly options: RoutedOptions;
  readonly invocation: Invocation;
  readonly handler: WorkHandler;
  readonly callFor: CallFor;
  readonly task: Ref<'task'>;
  readonly self: Ref;
  /** What the handler is told. */
  readonly given: unknown;
  /** What is busy with it, from its beginning on. */
  held: readonly Hold[];
}

/** Asks the object for the work and answers once it has settled. */
export const work = (
  options: RoutedOptions,
  invocation: Invocation,
  handler: WorkHandler,
  task: Ref<'task'>,
  callFor: CallFor,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const { message, args } = invocation;
    const refuse = (fault: Fault): void => {
      // It is asked for again elsewhere, so nothing has ended.
      if (fault instanceof Moved) {
        reject(fault);
        return;
      }
      const refused = (): void => reject(fault);
      settleTask(options, invocation, task, (tx) => failTask(tx, task, options.services, fault)).then(
        refused,
        refused,
      );
    };
    try {
      invocation.until?.throwIfAborted();
      const [self, given] = [selfOf(message, args), handlerArgs(message, args)];
      if (message.hasSelf && self === nullRef) throw new Fault('HANDLE_INVALID', [message.cls.name, self]);
      const run: Run = { options, invocation, handler, callFor, task, self, given, held: [] };
      options.objects.ask(jobOf(run, resolve, reject, refuse));
    } catch (error) {
      refuse(reported(error, message, options.services));
    }
  });

const jobOf = (
  run: Run,
  resolve: (result: unknown) => void,
  reject: (error: unknown) => void,
  refuse: (fault: Fault) => void,
): Job => {
  const { options, invocation, handler, task, self, given } = run;
  const { catalog, store, objects } = options;
  const on = subjectOf(handler, invocation.message, invocation.args, store.latest);
  const { until } = invocation;
  const end = (): void => objects.abort(job, asFault(until?.reason));
  const over = (): void => until?.removeEventListener('abort', end);
  const job: Job = {
    asked: {
      ...{ id: objects.newJobId(), ref: on, operation: handler.operation, cuts: handler.cuts ?? [] },
      insists: handler.insists?.(given) === true,
    },
    cls: classOf(catalog, store.latest, invocation.message, on),
    task,
    unless: (view) => handler.unless?.(view, self as Ref<any>, given) ?? othersRefusal(run, view),
    begin: (controller) => {
      const done = perform(run, job, controller).finally(over);
      done.then(resolve, (error: unknown) => {
        // It queues up again, behind whoever was first.
        if (error instanceof NotAdmitted) options.objects.ask(jobOf(run, resolve, reject, refuse));
        else reject(error);
      });
    },
    refuse: (fault) => {
      over();
      refuse(fault);
    },
  };
  until?.addEventListener('abort', end, { once: true });
  return job;
};

/** The rows that work keeps to itself beside its own. */
const othersOf = ({ handler, self, given }: Run, view: View): readonly Hold[] =>
  handler.holds?.(given, view, self as Ref<any>) ?? [];

const othersRefusal = (run: Run, view: View): Fault | undefined =>
  firstRefusal(run, view, othersOf(run, view));

const firstRefusal = ({ options }: Run, view: View, holds: readonly Hold[]): Fault | undefined => {
  for (const hold of holds) {
    const refusal = holdRefusal(options.catalog, view, hold);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
};

const workerOf = ({ options, task }: Run, { asked }: Job): Worker => ({
  ...{ task, host: options.services.host, id: asked.id },
});

const perform = async (run: Run, job: Job, controller: AbortController): Promise<unknown> => {
  const { options, invocation, handler, task } = run;
  const { store, objects, services } = options;
  const undo = undoStack();
  const settles: ((tx: Tx) => void)[] = [];
  try {
    await claim(run, job);
    const { signal } = controller;
    const working = workingOf(run, job, { signal, undo, settles });
    const result = await ('stream' in handler
      ? streamed(run, handler, working)
      : handler.work(working, run.given));
    if (settles.length === 0 && standsAlone(run)) return result;
    await store.commit((tx) => {
      for (const last of settles) last(tx);
      release(tx, run, job);
      const text = (): string => options.catalog.encoderOf(invocation.message.result).xml(result);
      endTask(tx, invocation.watched, task, () => succeedTask(tx, task, services, text()));
    });
    return result;
  } catch (error) {
    throw error instanceof NotAdmitted ? error : await takeBack(run, job, undo, error);
  } finally {
    objects.ended(job);
  }
};

/** With the bytes of its client. Of one that was ended it is said why, and not what that made fail. */
const streamed = async (
  { invocation, given }: Run,
  handler: ActionHandler<any, any>,
  working: Working<any>,
): Promise<unknown> => {
  const { client, message } = invocation;
  if (client === undefined) throw new Fault('MESSAGE_METHOD_UNKNOWN', [message.method]);
  try {
    return await handler.stream(working, given, client(working.signal));
  } catch (error) {
    throw working.signal.aborted ? working.signal.reason : error;
  }
};

/** Undoes failed work and settles what is left of it. Answers the fault that the client hears. */
const takeBack = async (run: Run, job: Job, undo: Undo, error: unknown): Promise<Fault> => {
  const { options, invocation, task } = run;
  const { store, services } = options;
  const { message } = invocation;
  const vmOf = (uuid: string): string => store.latest.byUuid('VM', uuid) ?? uuid;
  const known = faultOf(error, { ref: job.asked.ref, task, vmOf });
  const fault = known.code === 'INTERNAL_ERROR' ? reported(error, message, services) : known;
  await undo.run((failure) =>
    services.log.error({ error: failure, method: message.method }, 'A step could not be undone'),
  );
  if (standsAlone(run)) return fault;
  const done = await settle(options, { method: message.method, task }, (tx) => {
    release(tx, run, job);
    endTask(tx, invocation.watched, task, () => failTask(tx, task, services, fault));
  });
  // With a full disk the task cannot be settled on it, but the object must not stay busy in memory.
  if (!done) await store.commit((tx) => release(tx, run, job)).catch(() => undefined);
  return fault;
};

/** Leaves nothing to settle, and a member must answer it also while nobody decides commits. */
const standsAlone = ({ invocation, held, task }: Run): boolean =>
  invocation.message.declared?.onMember === true && held.length === 0 && task === nullRef;

/** Nothing is busy with it any more. */
const release = (tx: Tx, run: Run, job: Job): void => {
  for (const hold of run.held) unmark(tx, hold, workerOf(run, job));
};

/**
 * Notes that the work runs, in the latest rows at once where this host decides. A member's rows may be behind
 * those of the coordinator, so there the work is admitted once more, by the commit itself, and waits for it.
 */
const claim = (run: Run, job: Job): Promise<void> | undefined => {
  const { store, services } = run.options;
  const { operation, ref, insists = false } = job.asked;
  const own = operation === undefined ? [] : [{ cls: job.cls, ref: ref as Ref, operation, insists }];
  if (own.length === 0 && run.handler.holds === undefined) return undefined;
  const { decides } = store;
  const claimed = store.commit((tx) => {
    const all = [...own, ...othersOf(run, tx)];
    const refusal = decides ? undefined : firstRefusal(run, tx, all);
    if (refusal !== undefined) throw new NotAdmitted(refusal.message);
    run.held = all;
    for (const hold of all) mark(tx, hold, workerOf(run, job));
    // Should this host go, whoever ends its tasks must know that this was one of them.
    if (!decides && tx.get('task', job.task) !== undefined) {
      tx.patch('task', job.task, {
        resident_on: services.host,
        forwarded: true,
        forwarded_to: services.host,
      });
    }
  });
  if (!decides) return claimed;
  // Not awaited: the answer comes after a later commit.
  claimed.catch(() => {});
  return undefined;
};

/** Another operation was admitted first. */
class NotAdmitted extends Error {}

const settleTask = async (
  options: InvokerOptions,
  { message, watched }: Invocation,
  task: Ref<'task'>,
  final: (tx: Tx) => void,
): Promise<void> => {
  if (task === nullRef) return;
  await settle(options, { method: message.method, task }, (tx) =>
    endTask(tx, watched, task, () => final(tx)),
  );
};

/** Finer steps of progress would only be events that nobody can see. */
const progressStep = 0.01;

interface Course {
  readonly signal: AbortSignal;
  readonly undo: Undo;
  readonly settles: ((tx: Tx) => void)[];
}

const workingOf = (run: Run, job: Job, { signal, undo, settles }: Course): Working<any> => {
  const { options, invocation, callFor, task, self } = run;
  const { catalog, store, services } = options;
  const cls = invocation.message.cls.name as ClassName;
  let shown = 0;
  const show = (fraction: number) => (tx: Tx) => {
    if (tx.get('task', task)?.status === 'pending') tx.patch('task', task, { progress: fraction });
  };
  return {
    self: self as Ref<any>,
    get record() {
      return store.latest.require(cls, self as Ref<any>) as never;
    },
    view: store.latest,
    caller: invocation.caller,
    services,
    task,
    signal,
    progress: (fraction) => {
      if (task === nullRef || fraction - shown < progressStep || fraction > 1) return;
      shown = fraction;
      void store.commit(show(fraction)).catch(() => {});
    },
    undo: undo.add,
    call: callFor(invocation.caller, task),
    making: (vm) => callFor({ ...invocation.caller, madeFor: { vm, host: services.host } }, task),
    hold: async (row) => {
      await decided(services, (tx) => {
        const refusal = holdRefusal(catalog, tx, row);
        if (refusal !== undefined) throw refusal;
        mark(tx, row, workerOf(run, job));
      });
      run.held = [...run.held, row];
      // What was done before may be taken back by calls to the very row.
      undo.add(async () => {
        run.held = run.held.filter((one) => one !== row);
        await store.commit((tx) => unmark(tx, row, workerOf(run, job)));
      });
    },
    commit: store.commit,
    settle: (make) => {
      settles.push(make);
    },
  };
};
