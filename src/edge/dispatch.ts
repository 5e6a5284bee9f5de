import { jsonValue } from '../codec/jsonrpc-writer.ts';
import { xmlValue } from '../codec/xmlrpc-writer.ts';
import type { HttpRequest } from '../drivers/http/http.ts';
import type { WireMessage } from '../model/derive.ts';
import { measured } from '../model/sizes.ts';
import { set, string } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import { assertKeyed, readConstructor } from '../objects/fields.ts';
import type { Caller } from '../objects/implement.ts';
import type { Invocation, Invoker } from '../objects/invoke.ts';
import { implicitRead, rowsOf } from '../objects/reads.ts';
import { assertRoom } from '../objects/room.ts';
import type { Services } from '../objects/services.ts';
import { createTask, failTask, newRef, succeedTask } from '../objects/tasks.ts';
import { parseWhere, type Where } from '../objects/where.ts';
import type { CallSource } from '../rules/callers.ts';
import type { Clock } from '../std/clock.ts';
import { asFault, Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { inSlices } from '../std/pace.ts';
import { isDateTime, isStruct, type Struct, type Value } from '../std/value.ts';
import type { Store } from '../store/store.ts';
import { allowancesOf } from './allowances.ts';
import type { Audit } from './audit.ts';
import { callingCaller, localNobody, nobodyAt, sessionCaller } from './authenticate.ts';
import { callTaskOf } from './call-task.ts';
import {
  type EncodedParts,
  type Encoding,
  type Format,
  type Fragments,
  type Row,
  recordEncoding,
  recordsEncoding,
  typedEncoding,
} from './encoding.ts';
import type { Events } from './events.ts';
import { assertPermitted } from './permissions.ts';

/** The answer to a call, in whatever language. */
export type Outcome =
  | {
      readonly kind: 'success';
      /** The result in the language of the call. */
      readonly parts: EncodedParts;
      /** Over XML-RPC without the struct of Status and Value. */
      readonly bare?: true;
    }
  | {
      readonly kind: 'failure';
      readonly code: string;
      readonly params: readonly string[];
      /** Refused before the call was looked at. Over JSON-RPC such answers have a form of their own. */
      readonly early?: true;
    };

export interface CallRequest {
  /** What it came with. `gone` is made when it is first read, which only calls that wait do. */
  readonly http: Pick<HttpRequest, 'gone' | 'headers' | 'remoteAddress'>;
  /** The text of the call was not UTF-8, and every U+FFFD in it stands for what could not be read. */
  readonly garbled?: boolean;
  /** The language of the answer. */
  readonly format: Format;
}

/** Never rejects: whatever goes wrong is an answer. */
export type Dispatch = (method: string, params: readonly Value[], request: CallRequest) => Promise<Outcome>;

/**
 * A call from within, for a client who speaks another language: its result as it is. Rejects with a `Fault`.
 */
export type Ask = (method: string, params: readonly Value[], http: CallRequest['http']) => Promise<unknown>;

export interface Dispatcher {
  readonly dispatch: Dispatch;
  readonly ask: Ask;
}

export interface DispatcherOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly invoker: Invoker;
  readonly services: Services;
  readonly log: Log;
  readonly events: Events;
  readonly fragments: Fragments;
  readonly audit?: Audit;
  /** Calls come from this host's own files alone: whoever may use them may log in as its superuser. */
  readonly local?: true;
}

/** A call that has passed every check but those of its implementation. */
interface Admitted {
  readonly message: WireMessage;
  readonly args: readonly unknown[];
  readonly caller: Caller;
  readonly request: CallRequest;
}

/** At once where nothing needs to be waited for: promises are a good part of what a small call costs. */
type Answer = Promise<Encoding> | Encoding;

const listMethods = 'system.listMethods';

const failure = ({ code, params }: Fault): Outcome => ({ kind: 'failure', code, params });

/**
 * Checks a call in the order that XenAPI clients know: text, name, number of parameters, their types,
 * session, then whether this session may do this, and only then what the message is about.
 */
export const dispatcherOf = (options: DispatcherOptions): Dispatcher => {
  const { catalog, store, services, log } = options;
  const methods = catalog.messages.map(({ method }) => method);
  const forEmergencies = new Set(
    catalog.messages.filter(({ declared }) => declared?.emergency === true).map(({ method }) => method),
  );

  const allowances = allowancesOf(services);

  const system = (method: string, params: readonly Value[]): Encoding | undefined => {
    if (method === listMethods) return typedEncoding(set(string), methods);
    if (!method.startsWith('system.isAlive:')) return undefined;
    const [given] = params;
    if (given === undefined) throw new Fault('MESSAGE_PARAMETER_COUNT_MISMATCH', [method, '1', '0']);
    return (format: Format) => [format === 'xml' ? xmlValue(given) : jsonValue(given)];
  };

  const answer = (method: string, params: readonly Value[], request: CallRequest): Answer => {
    const { name, asynchronous } = nameOf(method);
    const message = catalog.find(name);
    if (message === undefined) throw unknownMethod(options, name, params);
    if (message.declared?.sessionless === true) {
      const args = readArgs(message, name, params, params.length);
      if (asynchronous) throw noAsyncMode(message);
      return recorded(
        options,
        {
          message,
          args,
          caller: options.local ? localNobody : nobodyAt(request.http.remoteAddress),
          request,
        },
        perform,
      );
    }
    const args = readArgs(message, name, params.slice(1), params.length - 1, params[0]);
    const caller = {
      ...sessionCaller(services, params[0] as string),
      address: request.http.remoteAddress,
    };
    assertInternal(store, message, caller);
    assertCoordinator(options, message, caller);
    if (message.removed) throw new Fault('MESSAGE_REMOVED');
    if (asynchronous && !message.async) throw noAsyncMode(message);
    const admitted: Admitted = { message, args, caller, request };
    return asynchronous ? begin(options, admitted) : recorded(options, admitted, permitted);
  };

  const emergencyFor = (method: string): Fault | undefined => {
    const { emergency } = services.availability();
    return forEmergencies.has(method) ? undefined : emergency;
  };

  const dispatch: Dispatch = async (method, params, request) => {
    try {
      const turn = options.local ? undefined : allowances(sourceOf(request.http));
      if (turn !== undefined) await turn;
      const emergency = emergencyFor(method);
      if (emergency !== undefined) return { ...failure(emergency), early: true };
      const unreadable = request.garbled === true ? params.find(isGarbled) : undefined;
      if (unreadable !== undefined) return { ...failure(garbledFault(unreadable)), early: true };
      const answered = system(method, params) ?? answer(method, params, request);
      const encode = answered instanceof Promise ? await answered : answered;
      // Here, so that a result that cannot be written is an answer to its call as well.
      const encoded = encode(request.format);
      const parts = encoded instanceof Promise ? await encoded : encoded;
      return { kind: 'success', parts, ...(method === listMethods && { bare: true }) };
    } catch (error) {
      if (!(error instanceof Fault)) {
        log.error({ error, method }, 'A call failed with something that is not a fault');
      }
      return failure(asFault(error));
    }
  };

  const ask: Ask = async (method, params, http) => {
    const turn = options.local ? undefined : allowances(sourceOf(http));
    if (turn !== undefined) await turn;
    const emergency = emergencyFor(method);
    if (emergency !== undefined) throw emergency;
    return (await answer(method, params, { http, format: 'json' })).value?.();
  };

  return { dispatch, ask };
};

const sourceOf = (http: CallRequest['http']): CallSource => ({
  userAgent: http.headers['user-agent'] ?? '',
  address: http.remoteAddress,
});

const asyncPrefixes = ['Async.', 'InternalAsync.'] as const;

const nameOf = (method: string): { readonly name: string; readonly asynchronous: boolean } => {
  for (const prefix of asyncPrefixes) {
    if (method.startsWith(prefix)) return { name: method.slice(prefix.length), asynchronous: true };
  }
  return { name: method, asynchronous: false };
};

const isGarbled = (value: Value): boolean => {
  if (typeof value === 'string') return value.includes('\ufffd');
  if (isStruct(value)) return [...value].some(([key, item]) => isGarbled(key) || isGarbled(item));
  if (isDateTime(value)) return isGarbled(value.dateTime);
  return Array.isArray(value) && (value as readonly Value[]).some(isGarbled);
};

const shownMax = 200;

const garbledFault = (value: Value): Fault =>
  new Fault('INVALID_VALUE', ['Invalid UTF-8 string in parameter', jsonValue(value).slice(0, shownMax)]);

/** Count first, then types, both before the session is looked at. `received` is -1 without any parameter. */
const readArgs = (
  message: WireMessage,
  name: string,
  given: readonly Value[],
  received: number,
  session?: Value,
): readonly unknown[] => {
  const { params, required } = message;
  const lenient = params.length > required;
  if (received < required || (received > required && !lenient)) {
    throw new Fault('MESSAGE_PARAMETER_COUNT_MISMATCH', [name, String(required), String(received)]);
  }
  if (session !== undefined) string.read(session, 'session_id');
  const args = params.map(({ name: param, type, defaultValue }, i) => {
    const value = given[i];
    if (value === undefined) return defaultValue;
    const read = type.read(value, param);
    measured(type, read, param);
    return read;
  });
  // What a constructor lacks is an error of its types, so it is found here and not by the implementation.
  if (message.kind === 'constructor') readConstructor(message.cls, args[0] as Struct);
  assertKeyed(message, args);
  return args;
};

const noAsyncMode = (message: WireMessage): Fault =>
  Fault.foreign('Fault', [`No async mode for this operation (rpc: ${message.method})`]);

const assertInternal = (store: Store, message: WireMessage, { session }: Caller): void => {
  if (message.declared?.poolInternal !== true || store.committed.get('session', session)?.pool === true)
    return;
  throw new Fault('INTERNAL_ERROR', [
    `Internal API "${message.method}" call attempted with non-pool (external) session`,
  ]);
};

/**
 * What a member of a pool does not do by itself is for its coordinator, but hosts of the pool know what they
 * do.
 */
const assertCoordinator = (
  { store, services }: DispatcherOptions,
  message: WireMessage,
  { session }: Caller,
): void => {
  const { coordinator } = services.availability();
  if (coordinator === undefined || message.declared?.onMember === true) return;
  if (store.committed.get('session', session)?.pool !== true) throw new Fault('HOST_IS_SLAVE', [coordinator]);
};

/** Throws what the same call would be answered with if it came now. */
const assertStill = (options: DispatcherOptions, { message, args, caller }: Admitted): void => {
  const { catalog, store, services } = options;
  const { emergency, serves } = services.availability();
  const now = callingCaller(services, caller.session);
  // A member that serves clients does so again once it has found its coordinator.
  if (serves !== true) {
    if (emergency !== undefined) throw emergency;
    assertCoordinator(options, message, now);
  }
  assertPermitted(catalog, store, now, message, args);
};

/** An unknown name may be an extension that is installed on a host, so it is guarded as those are. */
const unknownMethod = (options: DispatcherOptions, name: string, params: readonly Value[]): Fault => {
  const { catalog, store, services } = options;
  const unknown = new Fault('MESSAGE_METHOD_UNKNOWN', [name]);
  const [session] = params;
  if (session === undefined) return unknown;
  const caller = sessionCaller(services, string.read(session, 'session_id'));
  const extension = catalog.find('host.call_extension');
  if (extension !== undefined) assertPermitted(catalog, store, caller, extension, []);
  return unknown;
};

/** Writes down a line of the audit log about a call; undefined for one that changes nothing. */
const recorderOf = (
  { audit }: DispatcherOptions,
  { message, args, caller, request }: Admitted,
): ((fault: Fault | undefined | 'started', task?: string) => void) | undefined => {
  // What a driver writes is a part of what somebody asked for.
  if (audit?.wants(message) !== true || caller.driverOf !== undefined) return undefined;
  const { method } = message;
  // Of a login it says who came, as nobody has a session yet.
  const at =
    message.declared?.sessionless === true ? message.params.findIndex(({ name }) => name === 'uname') : -1;
  const who = at < 0 ? caller : { ...caller, user: String(args[at]) };
  const call = { caller: who, from: request.http.remoteAddress, method, args: audit.shown(message, args) };
  return (fault, task) =>
    audit.add({
      ...call,
      ...(task !== undefined && { task }),
      outcome: fault === 'started' ? fault : (fault?.code ?? 'success'),
    });
};

const recorded = (
  options: DispatcherOptions,
  call: Admitted,
  run: (options: DispatcherOptions, call: Admitted) => Answer,
): Answer => {
  const record = recorderOf(options, call);
  return record === undefined ? run(options, call) : noting(record, async () => run(options, call));
};

const noting = async <T>(record: (fault: Fault | undefined) => void, run: () => Promise<T>): Promise<T> => {
  try {
    const value = await run();
    record(undefined);
    return value;
  } catch (error) {
    record(asFault(error));
    throw error;
  }
};

const permitted = (options: DispatcherOptions, call: Admitted): Answer => {
  assertPermitted(options.catalog, options.store, call.caller, call.message, call.args);
  const { room } = options.services;
  if (room?.isShort !== true) return perform(options, call);
  return assertRoom(room, options.catalog, call.message).then(() => perform(options, call));
};

const perform = (options: DispatcherOptions, call: Admitted): Answer => {
  const { message, args, caller, request } = call;
  if (message.cls.name === 'event') {
    const check = (): void => assertStill(options, call);
    return options.events.answer(message.name, args, caller, { gone: request.http.gone(), check });
  }
  return (
    implicitAnswer(options, message, args) ??
    options.invoker
      .invoke({ message, args, caller, ...watchOf(options, call) })
      .then((result) => typedEncoding(message.result, result, options.catalog.encoderOf))
  );
};

/** A call makes a task of its own while it runs, unless its head names one. */
const watchOf = (
  { store }: DispatcherOptions,
  { message, caller, request }: Admitted,
): Pick<Invocation, 'watched' | 'task' | 'about'> => {
  if (!message.async) return { watched: 'untracked' };
  const { task, about } = callTaskOf(store, caller, request.http.headers);
  return task === undefined ? { watched: 'while-running', about } : { watched: 'untracked', task };
};

/**
 * What only reads rows is answered here, unless the class has its own way; whole records from what the
 * store has encoded.
 */
const implicitAnswer = (
  options: DispatcherOptions,
  message: WireMessage,
  args: readonly unknown[],
): Answer | undefined => {
  if (options.catalog.handler(message) !== undefined) return undefined;
  const rows = recordRows(options, message, args) ?? rowsWhere(options, message, args);
  if (rows !== undefined) return rows;
  const read = implicitRead(message, options.store);
  return read && typedEncoding(message.result, read(args), options.catalog.encoderOf);
};

const recordRows = (
  { store, services, fragments }: DispatcherOptions,
  message: WireMessage,
  [first]: readonly unknown[],
): Encoding | undefined => {
  const cls = message.cls.name;
  if (message.kind === 'get_record') {
    const version = store.tables.get(cls)?.committed(String(first));
    if (version === undefined) throw new Fault('HANDLE_INVALID', [cls, String(first)]);
    return recordEncoding(cls, [String(first), version], fragments);
  }
  if (message.kind !== 'get_all_records') return undefined;
  return recordsEncoding(cls, committedRows(store, cls), fragments, services.clock);
};

/** The rows that meet an expression, as they were when the call came. Others have their turn between rows. */
const rowsWhere = (
  { store, services, fragments }: DispatcherOptions,
  message: WireMessage,
  [expr]: readonly unknown[],
): Promise<Encoding> | undefined => {
  if (message.kind !== 'get_all_where' && message.kind !== 'get_all_records_where') return undefined;
  const cls = message.cls.name;
  const meeting = rowsMeeting(committedRows(store, cls), parseWhere(String(expr)), services.clock);
  return meeting.then((rows) =>
    message.kind === 'get_all_where'
      ? typedEncoding(
          message.result,
          rows.map(([ref]) => ref),
        )
      : recordsEncoding(cls, rows, fragments, services.clock),
  );
};

const rowsMeeting = async (rows: readonly Row[], passes: Where, clock: Clock): Promise<readonly Row[]> => {
  const meeting: Row[] = [];
  await inSlices(clock, rows, (row) => {
    if (passes(row[1].record)) meeting.push(row);
  });
  return meeting;
};

const committedRows = (store: Store, cls: string): readonly Row[] =>
  rowsOf(store, cls).flatMap(({ ref, committed }): readonly Row[] =>
    committed === undefined ? [] : [[ref, committed]],
  );

/** Answers with a task at once. What the caller may not do fails in the task. */
const begin = async (options: DispatcherOptions, call: Admitted): Promise<Encoding> => {
  const { catalog, store, invoker, services } = options;
  const { message, args, caller, request } = call;
  const { about } = callTaskOf(store, caller, request.http.headers);
  const record = recorderOf(options, call);
  const refusal = caught(() => assertPermitted(catalog, store, caller, message, args));
  // Its task would be something new, too.
  if (services.room?.isShort === true) await assertRoom(services.room, catalog, message);
  if (refusal === undefined && message.cls.name !== 'event') {
    const ended = (fault: Fault | undefined): void => void task.then((ref) => record?.(fault, ref));
    const invocation = { message, args, caller, about, ended, watched: 'until-destroyed' } as const;
    const task = invoker.invokeAsync(invocation);
    void task.then((ref) => record?.('started', ref)).catch(() => {});
    return typedEncoding(string, await task);
  }
  const performed = async (): Promise<Encoding> => perform(options, call);
  const fault = refusal ?? (await performed().then(() => undefined, asFault));
  const task = await endedTask(options, call, fault);
  record?.(fault, task);
  return typedEncoding(string, task);
};

const caught = (check: () => void): Fault | undefined => {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
};

/** A task for what has ended before there was one. */
const endedTask = async (
  { catalog, store, services }: DispatcherOptions,
  call: Admitted,
  fault: Fault | undefined,
) => {
  const { message, caller } = call;
  const task = newRef<'task'>(services);
  await store.commit((tx) => {
    const label = `Async.${message.method}`;
    createTask(tx, task, services, { label, cancellable: false, watched: 'until-destroyed', caller });
    if (fault === undefined)
      succeedTask(tx, task, services, catalog.encoderOf(message.result).xml(undefined));
    else failTask(tx, task, services, fault);
  });
  return task;
};
