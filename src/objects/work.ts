import { encoderOf } from '../codec/typed.ts';
import type { ClassName } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import type { Fault } from '../std/fault.ts';
import { type Undo, undoStack } from '../std/undo.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Tx } from '../store/view.ts';
import { classOf, handlerArgs, selfOf } from './arguments.ts';
import { faultOf } from './driver-faults.ts';
import type { Working } from './implement.ts';
import {
  type CallFor,
  type Invocation,
  type InvokerOptions,
  reported,
  type WorkHandler,
} from './invocation.ts';
import type { Job } from './runtime.ts';
import { failTask, succeedTask } from './tasks.ts';

/** One piece of work from its admission to its settling. */
interface Run {
  readonly options: InvokerOptions;
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
  options: InvokerOptions,
  invocation: Invocation,
  handler: WorkHandler,
  task: Ref<'task'>,
  callFor: CallFor,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const { message, args } = invocation;
    const refuse = (fault: Fault): void => {
      const refused = (): void => reject(fault);
      settleTask(options, invocation, task, (tx) => failTask(tx, task, options.services, fault)).then(
        refused,
        refused,
      );
    };
    try {
      const given = handlerArgs(message, args);
      const run = { options, invocation, handler, callFor, task, self: selfOf(message, args), given };
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
  const on = handler.on?.(given, store.latest) ?? self;
  const job: Job = {
    asked: { id: objects.newJobId(), ref: on, operation: handler.operation, cuts: handler.cuts ?? [] },
    cls: classOf(catalog, store.latest, invocation.message, on),
    task,
    ...(unless && { unless: (view) => unless(view, self as Ref<any>, given) }),
    begin: (controller) => {
      perform(run, job, controller).then(resolve, reject);
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
    // Not awaited: it is in the latest rows at once, and the answer comes after a later commit.
    if (job.asked.operation !== undefined) void store.commit((tx) => mark(tx, job, true)).catch(() => {});
    const result = await handler.work(workingOf(run, controller.signal, undo, settles), run.given);
    await store.commit((tx) => {
      for (const settle of settles) settle(tx);
      mark(tx, job, false);
      const text = (): string => encoderOf(invocation.message.result).xml(result);
      endTask(tx, invocation, task, () => succeedTask(tx, task, services, text()));
    });
    return result;
  } catch (error) {
    throw await takeBack(run, job, undo, error);
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
  await store
    .commit((tx) => {
      mark(tx, job, false);
      endTask(tx, invocation, task, () => failTask(tx, task, services, fault));
    })
    // With a full disk the task cannot be settled on it, but the object must not stay busy in memory.
    .catch(() => store.commit((tx) => mark(tx, job, false)))
    .catch(() => undefined);
  return fault;
};

/** Puts the operation into `current_operations` of its row, or takes it out. */
const mark = (tx: Tx, { asked, cls, task }: Job, running: boolean): void => {
  const record = tx.get(cls, asked.ref as Ref<any>) as AnyRecord | undefined;
  const operations = record?.['current_operations'] as ReadonlyMap<string, string> | undefined;
  if (asked.operation === undefined || operations === undefined) return;
  const key = task === nullRef ? `DummyRef:|${asked.id}|` : task;
  const others = [...operations].filter(([one]) => one !== key);
  const now = running ? [...others, [key, asked.operation] as const] : others;
  tx.patch(cls, asked.ref as Ref<any>, { current_operations: new Map(now) } as never);
};

/** Ends the row of a task: a call that somebody waited for leaves none behind, a nested one has none. */
const endTask = (tx: Tx, { watched }: Invocation, task: Ref<'task'>, final: (tx: Tx) => void): void => {
  if (task === nullRef || watched === 'untracked') return;
  if (watched === 'while-running') tx.delete('task', task);
  else final(tx);
};

const settleTask = async (
  { store }: InvokerOptions,
  invocation: Invocation,
  task: Ref<'task'>,
  final: (tx: Tx) => void,
): Promise<void> => {
  if (task !== nullRef) await store.commit((tx) => endTask(tx, invocation, task, final));
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
