import type { ClassName } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import { type Undo, undoStack } from '../std/undo.ts';
import type { Tx } from '../store/view.ts';
import { classOf, handlerArgs, selfOf, subjectOf } from './arguments.ts';
import { faultOf } from './driver-faults.ts';
import type { Working } from './implement.ts';
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
import { endTask, failTask, mark, succeedTask, unmark } from './tasks.ts';

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
      const [self, given] = [selfOf(message, args), handlerArgs(message, args)];
      if (message.hasSelf && self === nullRef) throw new Fault('HANDLE_INVALID', [message.cls.name, self]);
      const run = { options, invocation, handler, callFor, task, self, given };
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
  const { unless } = handler;
  const on = subjectOf(handler, invocation.message, invocation.args, store.latest);
  const job: Job = {
    asked: { id: objects.newJobId(), ref: on, operation: handler.operation, cuts: handler.cuts ?? [] },
    cls: classOf(catalog, store.latest, invocation.message, on),
    task,
    ...(unless && { unless: (view) => unless(view, self as Ref<any>, given) }),
    begin: (controller) => {
      perform(run, job, controller).then(resolve, (error: unknown) => {
        // It queues up again, behind whoever was first.
        if (error instanceof NotAdmitted) options.objects.ask(jobOf(run, resolve, reject, refuse));
        else reject(error);
      });
    },
    refuse,
  };
  return job;
};

const perform = async (run: Run, job: Job, controller: AbortController): Promise<unknown> => {
  const { options, invocation, handler, task } = run;
  const { store, objects, services } = options;
  const undo = undoStack();
  const settles: ((tx: Tx) => void)[] = [];
  try {
    await claim(run, job);
    const result = await handler.work(workingOf(run, controller.signal, undo, settles), run.given);
    if (settles.length === 0 && standsAlone(run)) return result;
    await store.commit((tx) => {
      for (const last of settles) last(tx);
      leaveMark(tx, job);
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
    leaveMark(tx, job);
    endTask(tx, invocation.watched, task, () => failTask(tx, task, services, fault));
  });
  // With a full disk the task cannot be settled on it, but the object must not stay busy in memory.
  if (!done) await store.commit((tx) => leaveMark(tx, job)).catch(() => undefined);
  return fault;
};

/** Leaves nothing to settle, and belongs to what a member answers although nobody may be there to decide. */
const standsAlone = ({ invocation, handler, task }: Run): boolean =>
  invocation.message.declared?.onMember === true && handler.operation === undefined && task === nullRef;

/** What the operation is known by in `current_operations`. */
const markOf = ({ asked, task }: Job): string => (task === nullRef ? `DummyRef:|${asked.id}|` : task);

const leaveMark = (tx: Tx, job: Job): void => {
  if (job.asked.operation !== undefined) unmark(tx, job.cls, job.asked.ref as Ref, markOf(job));
};

/**
 * Notes that the work runs, in the latest rows at once where this host decides. A member's rows may be behind
 * those of the coordinator, so there the work is admitted once more, by the commit itself, and waits for it.
 */
const claim = ({ options }: Run, job: Job): Promise<void> | undefined => {
  const { catalog, store, services, places } = options;
  const { operation, ref } = job.asked;
  if (operation === undefined) return undefined;
  const leads = places.coordinator() === services.host;
  const claimed = store.commit((tx) => {
    const refusal = leads ? undefined : catalog.behaviour(job.cls)?.admit?.(tx, ref as Ref<any>, operation);
    if (refusal !== undefined) throw new NotAdmitted(refusal.message);
    mark(tx, job.cls, ref as Ref, markOf(job), operation);
    // Should this host go, whoever ends its tasks must know that this was one of them.
    if (!leads && tx.get('task', job.task) !== undefined) {
      tx.patch('task', job.task, {
        resident_on: services.host,
        forwarded: true,
        forwarded_to: services.host,
      });
    }
  });
  if (!leads) return claimed;
  // Not awaited: the answer comes after a later commit.
  claimed.catch(() => {});
  return undefined;
};

/** Somebody else was first. */
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

const workingOf = (
  { options, invocation, callFor, task, self }: Run,
  signal: AbortSignal,
  undo: Undo,
  settles: ((tx: Tx) => void)[],
): Working<any> => {
  const { store, services } = options;
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
    commit: store.commit,
    settle: (make) => {
      settles.push(make);
    },
  };
};
