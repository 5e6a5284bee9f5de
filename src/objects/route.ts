import type { ClassName } from '../model/class.ts';
import type { WireMessage } from '../model/derive.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { Tx, View } from '../store/view.ts';
import { classOf, handlerArgs, selfOf, subjectOf } from './arguments.ts';
import { type Hold, unmark } from './busy.ts';
import type { AnyHandler } from './implement.ts';
import { type Invocation, type InvokerOptions, isWork, type RoutedOptions, takesTime } from './invocation.ts';
import { type Carried, homeOf, isLive, Moved, type Places, seatOf } from './places.ts';
import { settle } from './settling.ts';
import { endTask, failTask } from './tasks.ts';

/** What moves more often than this while it is called is said to be out of reach. */
export const movesMax = 4;

type Here = (invocation: Invocation) => Promise<unknown>;

/** Has a call done where its object lives: by `here` on this host, else by the host that has it. */
export const routed = async (
  options: RoutedOptions,
  invocation: Invocation,
  here: Here,
): Promise<unknown> => {
  let placed = false;
  let home = options.services.host;
  for (let moves = 0; ; moves += 1) {
    try {
      home = placeOf(options, invocation);
      return home === options.services.host
        ? await atHome(options, invocation, placed, here)
        : await options.places.send(home, carried(invocation, placed));
    } catch (error) {
      if (!(error instanceof Moved) || moves >= movesMax) {
        if (isWork(options, invocation.message)) await leave(options, invocation, error, home);
        throw error;
      }
      // Where it was not moved for this call, the place that was chosen before is void.
      placed = error.placed;
    }
  }
};

/** Does here what another host asked for, unless its object lives elsewhere (any more). */
export const atHome = async (
  options: RoutedOptions,
  invocation: Invocation,
  placed: boolean,
  here: Here,
): Promise<unknown> => {
  const host = placed ? options.services.host : await chosen(options, invocation);
  if (host !== options.services.host) throw new Moved(host, true);
  return here(invocation);
};

export const assertHome = (options: RoutedOptions, invocation: Invocation): void => {
  const home = placeOf(options, invocation);
  if (home !== options.services.host) throw new Moved(home, false);
};

/** Why a row's work cannot be done on this host: its home is elsewhere by now. */
export const elsewhere =
  (
    { catalog, view, host }: Pick<InvokerOptions, 'catalog'> & { view: View; host: Ref<'host'> },
    places: Pick<Places, 'coordinator'>,
  ) =>
  (cls: ClassName, ref: Ref): Moved | undefined => {
    // A host is there for itself, whatever the others think.
    if (seatOf(catalog, view, cls, ref) === host) return undefined;
    const home = homeOf(catalog, places, view, cls, ref);
    return home === host ? undefined : new Moved(home, false);
  };

interface Row {
  readonly cls: ClassName;
  readonly ref: Ref;
}

/** The row whose actor a call is for. */
const rowOf = ({ catalog, store }: InvokerOptions, { message, args }: Invocation): Row => {
  const ref = subjectOf(catalog.handler(message), message, args, store.latest);
  return { cls: classOf(catalog, store.latest, message, ref), ref };
};

/** Whether a call looks at the machine where its object lives, or has it do something. */
const needsMachine = (handler: AnyHandler | undefined): boolean => {
  if (handler === undefined || 'decide' in handler) return false;
  if ('read' in handler) return handler.at === 'home';
  return 'stream' in handler || handler.offline !== true;
};

export const placeOf = (options: RoutedOptions, invocation: Invocation): Ref<'host'> => {
  const { catalog, store, services, places } = options;
  const { message } = invocation;
  const handler = catalog.handler(message);
  const anywhere = handler !== undefined && 'read' in handler && handler.at === undefined;
  // What a member answers by itself it must be able to answer without anybody's help.
  if (message.removed === true || anywhere || message.declared?.onMember === true) return services.host;
  const { cls, ref } = rowOf(options, invocation);
  const seat = seatOf(catalog, store.latest, cls, ref);
  if (seat === undefined || seat === services.host || isLive(store.latest, seat)) {
    return seat ?? places.coordinator();
  }
  if (needsMachine(handler)) throw new Fault('HOST_OFFLINE', [seat]);
  return places.coordinator();
};

/** Decides where work is to be done; what admission refuses for good is refused before. */
const chosen = async (options: RoutedOptions, invocation: Invocation): Promise<Ref<'host'>> => {
  const { catalog, store, objects, services } = options;
  const { message, args, caller } = invocation;
  const handler = catalog.handler(message);
  if (handler === undefined || !('work' in handler) || handler.at === undefined) return services.host;
  const { operation, insists, unless, at } = handler;
  const only = at.only?.(store.latest);
  if (only !== undefined) return only;
  const { cls, ref } = rowOf(options, invocation);
  const self = selfOf(message, args);
  const given = handlerArgs(message, args);
  const choose = (tx: Tx): Ref<'host'> => {
    if (message.hasSelf) tx.require(message.cls.name as ClassName, self as Ref<any>);
    const refusal =
      (operation &&
        catalog.behaviour(cls)?.admit?.(tx, ref as Ref<any>, operation, insists?.(given) === true)) ||
      unless?.(tx, self, given);
    if (refusal !== undefined && refusal.code !== 'OTHER_OPERATION_IN_PROGRESS') throw refusal;
    return at.choose({ tx, self, caller, services }, given);
  };
  return objects.turn(cls, ref, () => store.commit(choose));
};

/** Leaves nothing behind of work that did not come to its own end. */
const leave = async (
  options: RoutedOptions,
  invocation: Invocation,
  error: unknown,
  host: Ref<'host'>,
): Promise<void> => {
  const { catalog, services } = options;
  const { message, args } = invocation;
  const task = invocation.task ?? (nullRef as Ref<'task'>);
  const handler = catalog.handler(message);
  const placement = handler !== undefined && 'work' in handler ? handler.at : undefined;
  // Where the host answered, its work has settled by itself.
  const lost = host !== services.host && isLoss(error);
  if (placement === undefined && !lost && !isOpen(options, task)) return;
  const held = lost ? heldBy(options, invocation) : [];
  await settle(options, { method: message.method, task }, (tx) => {
    placement?.release(tx, selfOf(message, args), host);
    for (const hold of held) unmark(tx, hold, { task, host });
    const fault = error instanceof Fault ? error : new Fault('INTERNAL_ERROR', [String(error)]);
    endTask(tx, invocation.watched, task, () => failTask(tx, task, services, fault));
  });
};

/** What was busy with work on a host that is lost. */
const heldBy = (options: RoutedOptions, invocation: Invocation): readonly Hold[] => {
  const { message, args } = invocation;
  const handler = options.catalog.handler(message);
  if (handler === undefined || !takesTime(handler)) return [];
  const { operation, holds } = handler;
  const own = operation === undefined ? [] : [{ ...rowOf(options, invocation), operation }];
  const others = holds?.(handlerArgs(message, args), options.store.latest, selfOf(message, args) as Ref<any>);
  return [...own, ...(others ?? [])];
};

const isOpen = ({ store }: InvokerOptions, task: Ref<'task'>): boolean =>
  task !== nullRef && store.latest.get('task', task)?.status === 'pending';

const isLoss = (error: unknown): boolean =>
  error instanceof Fault && (error.code === 'CANNOT_CONTACT_HOST' || error.code === 'HOST_OFFLINE');

export const carried = (invocation: Invocation, placed: boolean): Carried => {
  const { message, args, caller, watched } = invocation;
  const task = invocation.task ?? (nullRef as Ref<'task'>);
  return { method: message.method, args, caller, task, watched, placed };
};

/** A call from another host of the pool: nothing in it is taken on trust. */
export const received = ({ catalog }: InvokerOptions, call: Carried): Invocation =>
  receivedFor(catalog.find(call.method), call);

/** An action that a client asked another host for. */
export const receivedAction = ({ catalog }: InvokerOptions, call: Carried): Invocation =>
  receivedFor(catalog.action(call.method.slice('http/'.length)), call);

const receivedFor = (message: WireMessage | undefined, call: Carried): Invocation => {
  if (message === undefined) throw new Fault('MESSAGE_METHOD_UNKNOWN', [call.method]);
  if (call.args.length !== message.params.length) {
    const counts = [message.params.length, call.args.length].map(String);
    throw new Fault('MESSAGE_PARAMETER_COUNT_MISMATCH', [message.method, ...counts]);
  }
  const args = message.params.map(({ name, type }, i) => type.read(call.args[i] as never, name));
  const { caller, task, watched } = call;
  return { message, args, caller, task, watched };
};
