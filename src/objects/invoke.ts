import { encoderOf } from '../codec/typed.ts';
import type { Call, ClassName, Role } from '../model/class.ts';
import { roles } from '../model/class.ts';
import type { WireMessage } from '../model/derive.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import { type Undo, undoStack } from '../std/undo.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Tx } from '../store/view.ts';
import type { Catalog } from './catalog.ts';
import { faultOf } from './driver-faults.ts';
import { implicitDecision, readConstructor } from './fields.ts';
import type { AnyHandler, Caller, Working } from './implement.ts';
import { implicitRead } from './reads.ts';
import { internalFault, type Job, type Objects } from './runtime.ts';
import type { Services } from './services.ts';
import { createTask, failTask, newRef, succeedTask, type Watched } from './tasks.ts';

/** One call as the edge or an actor makes it: arguments are trusted and in wire order, `self` first. */
export interface Invocation {
  readonly message: WireMessage;
  readonly args: readonly unknown[];
  readonly caller: Caller;
  /** Existing task to report to, or a new one of this kind. */
  readonly task?: Ref<'task'>;
  readonly watched: Watched;
}

export interface Invoker {
  /** Answers with the result once everything behind it is durable. */
  invoke(invocation: Invocation): Promise<unknown>;
  /** Answers with the task at once; the call goes on. */
  invokeAsync(invocation: Invocation): Promise<Ref<'task'>>;
  /** `call` for code that acts on nobody's behalf: reports of the hypervisor, the start of the host. */
  readonly call: Call;
  /** A decision in the turn of the object that owns the row, made by the host itself. */
  decide<T>(cls: ClassName, ref: Ref, make: (tx: Tx) => T): Promise<T>;
}

type Decide = Extract<AnyHandler, { decide: unknown }>;
type Work = Extract<AnyHandler, { work: unknown }>;

/** The host itself: it may do everything and has no session. */
export const hostCaller: Caller = {
  session: nullRef as Ref<'session'>,
  user: 'host',
  role: roles.at(-1) as Role,
  originator: 'host',
};

export interface InvokerOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly objects: Objects;
  readonly services: Services;
}

export const invokerOf = (options: InvokerOptions): Invoker => {
  const { catalog, store, objects, services } = options;

  const selfOf = (message: WireMessage, args: readonly unknown[]): Ref =>
    (message.hasSelf ? args[0] : nullRef) as Ref;

  const ownArgs = (message: WireMessage, args: readonly unknown[]): readonly unknown[] =>
    message.hasSelf ? args.slice(1) : args;

  /** What a handler of the class is given: names for explicit messages, the record of a constructor, else the value. */
  const handlerArgs = (message: WireMessage, args: readonly unknown[]): unknown => {
    if (message.kind === 'constructor') return readConstructor(message.cls, args[0] as never);
    const own = message.hasSelf ? message.params.slice(1) : message.params;
    const values = ownArgs(message, args);
    return Object.fromEntries(own.map(({ name }, i) => [name, values[i]]));
  };

  const decide = (invocation: Invocation, handler: Decide | undefined): Promise<unknown> => {
    const { message, args, caller } = invocation;
    const implicit = handler === undefined ? implicitDecision(message) : undefined;
    if (handler === undefined && implicit === undefined) throw new Fault('NOT_IMPLEMENTED', [message.method]);
    const self = selfOf(message, args);
    const given = handler === undefined ? undefined : handlerArgs(message, args);
    const on = handler?.on?.(given, store.latest) ?? self;
    const cls = message.cls.name as ClassName;
    const make = (tx: Tx): unknown => {
      if (message.hasSelf) tx.require(cls, self as Ref<any>);
      const deciding = { tx, self, caller, services };
      const result =
        handler === undefined
          ? implicit?.(deciding, ownArgs(message, args))
          : handler.decide(deciding, given);
      // A task that outlives the call settles in the very commit that it is about.
      if (invocation.watched === 'until-destroyed' && invocation.task !== undefined) {
        succeedTask(tx, invocation.task, services, encoderOf(message.result).xml(result));
      }
      return result;
    };
    return objects.turn(ownerClass(message, on), on, () => store.commit(make));
  };

  /** A message without a self that names another row by `on` is that row's; the class tells which. */
  const ownerClass = (message: WireMessage, on: Ref): ClassName => {
    const own = message.cls.name as ClassName;
    if (on === nullRef || store.latest.get(own, on as Ref<any>) !== undefined) return own;
    const found = catalog.classes.find(
      ({ name }) => store.latest.get(name as ClassName, on as Ref<any>) !== undefined,
    );
    return (found?.name ?? own) as ClassName;
  };

  /** What a handler is told, and the row whose actor it is for. Throws where the arguments say nothing sensible. */
  const placeOf = (
    { message, args }: Invocation,
    handler: Work,
  ): { readonly given: unknown; readonly self: Ref; readonly on: Ref } => {
    const given = handlerArgs(message, args);
    const self = selfOf(message, args);
    return { given, self, on: handler.on?.(given, store.latest) ?? self };
  };

  const work = (invocation: Invocation, handler: Work, task: Ref<'task'>): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const { message, watched } = invocation;
      const refuse = (fault: Fault): void => {
        const refused = (): void => reject(fault);
        finishTask(task, watched, (tx) => failTask(tx, task, services, fault)).then(refused, refused);
      };
      let place: ReturnType<typeof placeOf>;
      try {
        place = placeOf(invocation, handler);
      } catch (error) {
        refuse(internalFault(error, message, services));
        return;
      }
      const { given, self, on } = place;
      const job: Job = {
        asked: { id: objects.newJobId(), ref: on, operation: handler.operation, cuts: handler.cuts ?? [] },
        cls: message.hasSelf ? (message.cls.name as ClassName) : ownerClass(message, on),
        task,
        ...(handler.unless === undefined
          ? {}
          : { unless: (view) => handler.unless?.(view, self as Ref<any>, given) }),
        begin: (controller) => {
          run(invocation, handler, { job, self, given, task, controller }).then(resolve, reject);
        },
        refuse,
      };
      objects.ask(job);
    });

  /** Ends the row of the task: a call that somebody waited for leaves none behind. */
  const endTask = (tx: Tx, task: Ref<'task'>, watched: Watched, final: (tx: Tx) => void): void => {
    if (task === nullRef) return;
    if (watched === 'while-running') tx.delete('task', task);
    else final(tx);
  };

  const finishTask = async (task: Ref<'task'>, watched: Watched, final: (tx: Tx) => void): Promise<void> => {
    if (task !== nullRef && watched !== 'untracked')
      await store.commit((tx) => endTask(tx, task, watched, final));
  };

  interface Run {
    readonly job: Job;
    readonly self: Ref;
    readonly given: unknown;
    readonly task: Ref<'task'>;
    readonly controller: AbortController;
  }

  const mark = (tx: Tx, { job }: Run, running: boolean): void => {
    const { operation, ref } = job.asked;
    const record = tx.get(job.cls, ref as Ref<any>) as AnyRecord | undefined;
    const operations = record?.['current_operations'] as ReadonlyMap<string, string> | undefined;
    if (operation === undefined || operations === undefined) return;
    const others = [...operations].filter(([key]) => key !== operationKey(job));
    const now = running ? [...others, [operationKey(job), operation] as const] : others;
    tx.patch(job.cls, ref as Ref<any>, { current_operations: new Map(now) } as never);
  };

  /** Two operations of one task on one row are told apart by the job. */
  const operationKey = (job: Job): string => (job.task === nullRef ? `DummyRef:|${job.asked.id}|` : job.task);

  const run = async (invocation: Invocation, handler: Work, running: Run): Promise<unknown> => {
    const undo = undoStack();
    const settles: ((tx: Tx) => void)[] = [];
    const { job, task } = running;
    try {
      if (job.asked.operation !== undefined)
        void store.commit((tx) => mark(tx, running, true)).catch(() => {});
      const result = await handler.work(workingOf(invocation, running, undo, settles), running.given);
      await store.commit((tx) => {
        for (const settle of settles) settle(tx);
        mark(tx, running, false);
        if (invocation.watched !== 'untracked')
          endTask(tx, task, invocation.watched, () =>
            succeedTask(tx, task, services, encoderOf(invocation.message.result).xml(result)),
          );
      });
      return result;
    } catch (error) {
      const known = faultOf(error, { ref: job.asked.ref, task, vmOf });
      const fault =
        known.code === 'INTERNAL_ERROR' ? internalFault(error, invocation.message, services) : known;
      await undo.run((failure) =>
        services.log.error(
          { error: failure, method: invocation.message.method },
          'A step could not be undone',
        ),
      );
      await store
        .commit((tx) => {
          mark(tx, running, false);
          if (invocation.watched !== 'untracked')
            endTask(tx, task, invocation.watched, () => failTask(tx, task, services, fault));
        })
        // With a full disk the task cannot be settled on it, but the object must not stay busy in memory.
        .catch(() => store.commit((tx) => mark(tx, running, false)))
        .catch(() => undefined);
      throw fault;
    } finally {
      objects.ended(job);
    }
  };

  const vmOf = (uuid: string): string => store.latest.byUuid('VM', uuid) ?? uuid;

  const workingOf = (
    invocation: Invocation,
    running: Run,
    undo: Undo,
    settles: ((tx: Tx) => void)[],
  ): Working<any> => {
    const cls = invocation.message.cls.name as ClassName;
    const { self, task, controller } = running;
    let shown = 0;
    return {
      self: self as Ref<any>,
      get record() {
        return store.latest.require(cls, self as Ref<any>) as never;
      },
      view: store.latest,
      caller: invocation.caller,
      services,
      task,
      signal: controller.signal,
      progress: (fraction) => {
        // Finer steps than a percent would only be events that nobody can see.
        if (task === nullRef || fraction - shown < 0.01 || fraction > 1) return;
        shown = fraction;
        void store
          .commit((tx) => {
            if (tx.get('task', task)?.status === 'pending') tx.patch('task', task, { progress: fraction });
          })
          .catch(() => {});
      },
      undo: undo.add,
      call: callerOf(invocation.caller, task),
      commit: store.commit,
      settle: (make) => {
        settles.push(make);
      },
    };
  };

  const untracked = (invocation: Invocation, task: Ref<'task'>): Promise<unknown> => {
    const { message, args, caller } = invocation;
    if (message.removed === true) throw new Fault('MESSAGE_REMOVED');
    const handler = catalog.handler(message);
    if (handler !== undefined && 'work' in handler) return work(invocation, handler, task);
    if (handler !== undefined && 'read' in handler) {
      const self = selfOf(message, args);
      if (message.hasSelf) store.committed.require(message.cls.name as ClassName, self as Ref<any>);
      return Promise.resolve(
        handler.read({ view: store.committed, self, caller, services }, handlerArgs(message, args)),
      );
    }
    const read = handler === undefined ? implicitRead(message, store) : undefined;
    if (read !== undefined) return Promise.resolve(read(args));
    return decide(invocation, handler);
  };

  const isWork = (message: WireMessage): boolean => {
    const handler = catalog.handler(message);
    return handler !== undefined && 'work' in handler;
  };

  const trackedTask = async (invocation: Invocation, watched: Watched): Promise<Ref<'task'>> => {
    if (invocation.task !== undefined) return invocation.task;
    const task = newRef<'task'>(services);
    const { message, caller } = invocation;
    const label = watched === 'until-destroyed' ? `Async.${message.method}` : message.method;
    await store.commit((tx) =>
      createTask(tx, task, services, { label, cancellable: isWork(message), watched, caller }),
    );
    return task;
  };

  const invoke = async (invocation: Invocation): Promise<unknown> => {
    const tracked = invocation.watched !== 'untracked' && isWork(invocation.message);
    if (!tracked) return untracked(invocation, invocation.task ?? (nullRef as Ref<'task'>));
    return untracked(invocation, await trackedTask(invocation, invocation.watched));
  };

  const invokeAsync = async (invocation: Invocation): Promise<Ref<'task'>> => {
    const watched = 'until-destroyed';
    const task = await trackedTask(invocation, watched);
    const asynchronous: Invocation = { ...invocation, watched, task };
    const settle = (final: (tx: Tx) => void): Promise<unknown> =>
      isWork(invocation.message) ? Promise.resolve() : store.commit(final);
    Promise.resolve()
      .then(() => untracked(asynchronous, task))
      .then(
        (result) =>
          settle((tx) => succeedTask(tx, task, services, encoderOf(invocation.message.result).xml(result))),
        (error) =>
          settle((tx) => failTask(tx, task, services, internalFault(error, invocation.message, services))),
      )
      .catch((error) => services.log.error({ error, task }, 'A task could not be settled'));
    return task;
  };

  const callerOf =
    (caller: Caller, task: Ref<'task'>): Call =>
    (method, self, args) => {
      const message = catalog.find(method);
      if (message === undefined) throw new Error(`Nothing answers ${method}`);
      const own = message.hasSelf ? message.params.slice(1) : message.params;
      const values = own.map(
        ({ name, defaultValue }) => (args as Record<string, unknown>)[name] ?? defaultValue,
      );
      const invocation: Invocation = {
        message,
        args: message.hasSelf ? [self, ...values] : values,
        caller,
        task,
        watched: 'untracked',
      };
      return untracked(invocation, task) as Promise<never>;
    };

  return {
    invoke,
    invokeAsync,
    call: callerOf(hostCaller, nullRef as Ref<'task'>),
    decide: (cls, ref, make) => objects.turn(cls, ref, () => store.commit(make)),
  };
};
