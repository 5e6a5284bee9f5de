import type { Call, Role } from '../model/class.ts';
import { roles } from '../model/class.ts';
import type { WireMessage } from '../model/derive.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { asFault, Fault } from '../std/fault.ts';
import type { Store } from '../store/store.ts';
import type { Catalog } from './catalog.ts';
import type { ClientFor } from './client.ts';
import type { ActionHandler, AnyHandler, Caller } from './implement.ts';
import type { Places } from './places.ts';
import type { Objects } from './runtime.ts';
import type { Services } from './services.ts';
import type { NewTask, Watched } from './tasks.ts';

/** One call as the edge or an actor makes it: arguments are trusted and in wire order, `self` first. */
export interface Invocation {
  readonly message: WireMessage;
  readonly args: readonly unknown[];
  readonly caller: Caller;
  /** Existing task to report to, or a new one of this kind. */
  readonly task?: Ref<'task'>;
  readonly watched: Watched;
  /** What a new task of the call is told: the task that it is a part of, and settings of its own. */
  readonly about?: Pick<NewTask, 'parent' | 'otherConfig'>;
  /** Of an action: whose bytes it is about. */
  readonly client?: ClientFor;
  /** Of an action: ends it, with the fault, when whoever asked may not go on or is gone. */
  readonly until?: AbortSignal;
  /** Told once how a call ended that answered with its task. */
  readonly ended?: (fault: Fault | undefined) => void;
}

/** What calls are made with on this host. */
export interface InvokerOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly objects: Objects;
  readonly services: Services;
  /** Absent: this host is alone. */
  readonly places?: Places;
}

/** The same where the places of the pool are known. */
export type RoutedOptions = InvokerOptions & { readonly places: Places };

export type DecideHandler = Extract<AnyHandler, { decide: unknown }>;
export type ReadHandler = Extract<AnyHandler, { read: unknown }>;
/** What is admitted, runs and settles. */
export type WorkHandler = Extract<AnyHandler, { work: unknown }> | ActionHandler<any, any>;

/** Makes the nested calls of work: for the same caller, and reporting to the same task. */
export type CallFor = (caller: Caller, task: Ref<'task'>) => Call;

/** The host itself: it may do everything and has no session. */
export const hostCaller: Caller = {
  session: nullRef as Ref<'session'>,
  user: 'host',
  role: roles.at(-1) as Role,
  originator: 'host',
};

export const takesTime = (handler: AnyHandler): handler is WorkHandler =>
  'work' in handler || 'stream' in handler;

export const isWork = ({ catalog }: Pick<InvokerOptions, 'catalog'>, message: WireMessage): boolean => {
  const handler = catalog.handler(message);
  return handler !== undefined && takesTime(handler);
};

/** What the client hears of an error; one that is not a fault is a bug and is logged. */
export const reported = (error: unknown, message: WireMessage, { log }: Pick<Services, 'log'>): Fault => {
  if (!(error instanceof Fault)) log.error({ error, method: message.method }, 'A handler failed with a bug');
  return asFault(error);
};
