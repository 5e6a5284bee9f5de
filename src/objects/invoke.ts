import type { Call, ClassName } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { Tx } from '../store/view.ts';
import { handlerArgs, selfOf } from './arguments.ts';
import { decide } from './decide.ts';
import {
  type CallFor,
  hostCaller,
  type Invocation,
  type InvokerOptions,
  isWork,
  type ReadHandler,
  type RoutedOptions,
  reported,
  takesTime,
} from './invocation.ts';
import { alone, type Carried, Moved } from './places.ts';
import { implicitRead } from './reads.ts';
import { assertHome, atHome, placeOf, received, receivedAction, routed } from './route.ts';
import { settle } from './settling.ts';
import { createTask, failTask, newRef, succeedTask } from './tasks.ts';
import { work } from './work.ts';

export { hostCaller, type Invocation, type InvokerOptions };

export interface Invoker {
  /** Answers with the result once everything behind it is durable. */
  invoke(invocation: Invocation): Promise<unknown>;
  /** Answers with the task at once; the call goes on. */
  invokeAsync(invocation: Invocation): Promise<Ref<'task'>>;
  /** Does what another host was asked for; rejects with `Moved` when the object does not live here. */
  carry(call: Carried): Promise<unknown>;
  /** Where an action is done. Throws HOST_OFFLINE. */
  place(invocation: Invocation): Ref<'host'>;
  /**
   * Does an action here, with the bytes of its client. Rejects with `Moved` when its object does not live
   * here (any more). A task that the client named gets its final state, whatever becomes of the action.
   */
  stream(invocation: Invocation): Promise<void>;
  /** The same for a client of another host. */
  streamFor(call: Carried, by: Pick<Invocation, 'client' | 'until'>): Promise<void>;
  /** `call` for code that acts on nobody's behalf: reports of the hypervisor, the start of the host. */
  readonly call: Call;
  /** A decision in the turn of the object that owns the row, made by the host itself. */
  decide<T>(cls: ClassName, ref: Ref, make: (tx: Tx) => T): Promise<T>;
}

const noTask = nullRef as Ref<'task'>;

export const invokerOf = (given: InvokerOptions): Invoker => {
  const options = { ...given, places: given.places ?? alone(given.services.host) };
  const { store, objects } = options;
  const callFor: CallFor = (caller, task) => (method, self, args) =>
    answer(options, nested(options, { method, self, args, caller, task }), task, callFor) as Promise<never>;
  const stream = async (invocation: Invocation): Promise<void> => {
    assertHome(options, invocation);
    const isNew = invocation.task === undefined && invocation.watched !== 'untracked';
    const task = isNew ? await taskOf(options, invocation) : (invocation.task ?? noTask);
    try {
      await here(options, { ...invocation, task }, task, callFor);
    } catch (error) {
      // It is asked for elsewhere, where it has another task.
      if (isNew && error instanceof Moved) await store.commit((tx) => tx.delete('task', task));
      throw error;
    }
  };
  return {
    place: (invocation) => placeOf(options, invocation),
    stream,
    streamFor: (call, by) => stream(actionOf(options, call, by)),
    invoke: async (invocation) => {
      const tracked = invocation.watched !== 'untracked' && isWork(options, invocation.message);
      const task = tracked ? await taskOf(options, invocation) : invocation.task;
      return answer(options, invocation, task ?? noTask, callFor);
    },
    invokeAsync: (invocation) => invokeAsync(options, { ...invocation, watched: 'until-destroyed' }, callFor),
    carry: async (call) => {
      const invocation = received(options, call);
      assertHome(options, invocation);
      return atHome(options, invocation, call.placed, (one) => here(options, one, call.task, callFor));
    },
    call: callFor(hostCaller, noTask),
    decide: (cls, ref, make) => objects.turn(cls, ref, () => store.commit(make)),
  };
};

/** A client of another host has a task there is, or none: a null reference says so. */
const actionOf = (
  options: RoutedOptions,
  call: Carried,
  by: Pick<Invocation, 'client' | 'until'>,
): Invocation => {
  const { task, ...invocation } = receivedAction(options, call);
  return { ...invocation, ...by, ...(task !== nullRef && { task }) };
};

/** Does what a message asks for, where its object lives. */
const answer = (
  options: RoutedOptions,
  invocation: Invocation,
  task: Ref<'task'>,
  callFor: CallFor,
): Promise<unknown> => {
  const { catalog, store } = options;
  const { message, args } = invocation;
  const handler = catalog.handler(message);
  if (handler === undefined && message.removed !== true) {
    const read = implicitRead(message, store);
    if (read !== undefined) return Promise.resolve(read(args));
  }
  return routed(options, { ...invocation, task }, (placed) => here(options, placed, task, callFor));
};

/** Does it on this host, in the way that its class says: by reading, by a decision or by work. */
const here = async (
  options: RoutedOptions,
  invocation: Invocation,
  task: Ref<'task'>,
  callFor: CallFor,
): Promise<unknown> => {
  const { message } = invocation;
  if (message.removed === true) throw new Fault('MESSAGE_REMOVED');
  const handler = options.catalog.handler(message);
  if (handler === undefined || 'decide' in handler) return decide(options, invocation, handler);
  if (takesTime(handler)) return work(options, invocation, handler, task, callFor);
  return read(options, invocation, handler);
};

const read = (
  { store, services }: InvokerOptions,
  { message, args, caller }: Invocation,
  handler: ReadHandler,
): unknown => {
  const self = selfOf(message, args);
  if (message.hasSelf) store.committed.require(message.cls.name as ClassName, self as Ref<any>);
  return handler.read({ view: store.committed, self, caller, services }, handlerArgs(message, args));
};

const taskOf = async (options: InvokerOptions, invocation: Invocation): Promise<Ref<'task'>> => {
  const { store, services } = options;
  const { message, caller, watched, about } = invocation;
  if (invocation.task !== undefined) return invocation.task;
  const task = newRef<'task'>(services);
  const called = watched === 'until-destroyed' ? `Async.${message.method}` : message.method;
  const label = message.action?.task ?? called;
  const cancellable = isWork(options, message);
  await store.commit((tx) =>
    createTask(tx, task, services, { ...about, label, cancellable, watched, caller }),
  );
  return task;
};

const invokeAsync = async (
  options: RoutedOptions,
  invocation: Invocation,
  callFor: CallFor,
): Promise<Ref<'task'>> => {
  const { services } = options;
  const { message } = invocation;
  const task = await taskOf(options, invocation);
  // Work settles its task itself, in the commit of its changes.
  const end = async (final: (tx: Tx) => void): Promise<void> => {
    if (!isWork(options, message)) await settle(options, { method: message.method, task }, final);
  };
  answer(options, { ...invocation, task }, task, callFor)
    .then(
      async (result) => {
        await end((tx) =>
          succeedTask(tx, task, services, options.catalog.encoderOf(message.result).xml(result)),
        );
        invocation.ended?.(undefined);
      },
      async (error) => {
        const fault = reported(error, message, services);
        invocation.ended?.(fault);
        await end((tx) => failTask(tx, task, services, fault));
      },
    )
    .catch((error) => services.log.error({ error, task }, 'A task could not be settled'));
  return task;
};

interface NestedCall {
  readonly method: string;
  readonly self: Ref;
  readonly args: Readonly<Record<string, unknown>>;
  readonly caller: Invocation['caller'];
  readonly task: Ref<'task'>;
}

const nested = ({ catalog }: InvokerOptions, call: NestedCall): Invocation => {
  const { method, self, args, caller, task } = call;
  const message = catalog.find(method);
  if (message === undefined) throw new Error(`Nothing answers ${method}`);
  const params = message.hasSelf ? message.params.slice(1) : message.params;
  const values = params.map(({ name, defaultValue }) => args[name] ?? defaultValue);
  return { message, args: message.hasSelf ? [self, ...values] : values, caller, task, watched: 'untracked' };
};
