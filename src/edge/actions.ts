import type { HttpHead, HttpRequest } from '../drivers/http/http.ts';
import type { Action, ClassName } from '../model/class.ts';
import type { WireMessage, WireParam } from '../model/derive.ts';
import type { Ref, Type } from '../model/types.ts';
import { handlerArgs } from '../objects/arguments.ts';
import type { Catalog } from '../objects/catalog.ts';
import { holderOf } from '../objects/holdings.ts';
import type { ActionHandler, AnyHandler, Caller } from '../objects/implement.ts';
import type { Invocation, Invoker } from '../objects/invoke.ts';
import { Moved } from '../objects/places.ts';
import { assertRoom } from '../objects/room.ts';
import type { Services } from '../objects/services.ts';
import { failTask } from '../objects/tasks.ts';
import { asFault, Fault } from '../std/fault.ts';
import { sharesOf } from '../std/shares.ts';
import type { Store } from '../store/store.ts';
import type { View } from '../store/view.ts';
import { queryTaskOf } from './call-task.ts';
import { bodyClient, duplexClient, type HttpClient } from './client.ts';
import type { HttpContext, Route } from './route.ts';

/** The other hosts of the pool. */
export interface Others {
  /** Where the HTTPS of a host is, as in a URL. Undefined: clients are not sent there. */
  readonly authorityOf: (host: Ref<'host'>) => string | undefined;
  /** Has a host do an action for a client of this one. Rejects as `Invoker.stream`. */
  readonly send: (host: Ref<'host'>, invocation: Invocation) => Promise<void>;
}

export interface ActionOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly services: Services;
  readonly invoker: Invoker;
  /** Absent: this host is alone. */
  readonly others?: Others;
}

/** Actions under way at once, of one user and of all. */
export const actionsOfUserMax = 400;
export const actionsMax = 1_000;

/**
 * The actions of classes that are built. Each is done as work of the object that it names, where that lives:
 * a client that asks another host is sent there, or what it asks for is, where clients do not follow.
 */
export const actionRoutes = (options: ActionOptions): readonly Route[] => {
  const { catalog, store } = options;
  const shares = sharesOf({ ofOneMax: actionsOfUserMax, totalMax: actionsMax });
  const inShare = async <T>(caller: Caller, run: () => Promise<T>): Promise<T> => {
    const leave = shares.take(holderOf(store.committed, caller), 1);
    if (leave === undefined) throw new Fault('TOO_MANY_PENDING_TASKS');
    return run().finally(leave);
  };
  return catalog.actions.flatMap((message) => {
    const handler = catalog.handler(message);
    if (handler === undefined || !('stream' in handler)) return [];
    return [routeOf({ ...options, message, handler, inShare })];
  });
};

interface Asking extends ActionOptions {
  readonly message: WireMessage;
  readonly handler: Extract<AnyHandler, ActionHandler<any, any>>;
  readonly inShare: <T>(caller: Caller, run: () => Promise<T>) => Promise<T>;
}

const routeOf = (asking: Asking): Route => {
  const { name } = asking.message;
  const { method, path, duplex } = asking.message.action as Action;
  const at = { path, action: name };
  if (duplex !== true) {
    return {
      ...{ ...at, method },
      handle: async (request, answer, context) => {
        const client = bodyClient(request, answer);
        const to = await perform(asking, request, context, client);
        if (to !== undefined) answer.send(302, { Location: locationOf(request, to), ...uncached }, []);
      },
    };
  }
  if (method === 'CONNECT') {
    return {
      ...{ ...at, method },
      connect: async (request, socket, context) => {
        const open = async () => {
          socket.write(
            'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nCache-Control: no-cache, no-store\r\n\r\n',
          );
          return socket;
        };
        await perform(asking, request, context, duplexClient(open));
      },
    };
  }
  return {
    ...{ ...at, method: 'UPGRADE' },
    upgrade: async (request, accept, _, context) => {
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(/, */);
      const open = () => accept(offered.includes('binary') ? 'binary' : undefined);
      await perform(asking, request, context, duplexClient(open));
    },
  };
};

const uncached = { 'Cache-Control': 'no-cache, no-store' };
/** What moves more often than this while it is asked for is said to be out of reach. */
const movesMax = 4;

/** Answers where the client is to go, if it is to go elsewhere. */
const perform = async (
  asking: Asking,
  request: HttpHead | HttpRequest,
  context: HttpContext,
  client: HttpClient,
): Promise<string | undefined> => {
  const { catalog, store, services, message, inShare } = asking;
  const caller = await context.caller();
  const task = message.action?.duplex === true ? undefined : queryTaskOf(store, caller, request.query);
  try {
    return await inShare(caller, async () => {
      const invocation = await invocationOf(asking, request, context, caller);
      if (services.room?.isShort === true) await assertRoom(services.room, catalog, message);
      const asked = {
        ...invocation,
        ...(task && { task, watched: 'until-destroyed' as const }),
        client: client.of,
      };
      return await placed(asking, request, asked, client);
    });
  } catch (error) {
    // Work that has begun has settled its task; final states stick.
    const fault = asFault(error);
    if (task !== undefined) await store.commit((tx) => failTask(tx, task, services, fault));
    if (!client.begun() || message.action?.duplex !== true) throw error;
    await client.finish();
    return undefined;
  }
};

const placed = async (
  { invoker, services, others, message }: Asking,
  request: HttpHead | HttpRequest,
  invocation: Invocation,
  client: HttpClient,
): Promise<string | undefined> => {
  for (let moves = 0; ; moves += 1) {
    const home = invoker.place(invocation);
    const isHere = home === services.host || others === undefined;
    if (!isHere && message.action?.duplex !== true) {
      const authority = others.authorityOf(home);
      // The task of the request is left for the host that the client is sent to.
      if (authority !== undefined) return authority;
    }
    try {
      const isProbe = mayProbe(request, message) && (await client.sendsNothing());
      if (!isProbe) await (isHere ? invoker.stream(invocation) : others.send(home, invocation));
      await client.finish();
      return undefined;
    } catch (error) {
      if (!(error instanceof Moved) || client.begun() || moves >= movesMax) throw error;
    }
  }
};

/** Clients that send what they cannot send twice ask first, without the task. */
const mayProbe = (request: HttpHead | HttpRequest, { action }: WireMessage): boolean =>
  action?.method === 'PUT' && request.query.get('task_id') === null;

const locationOf = ({ path, query }: HttpHead, authority: string): string =>
  `https://${authority}${path}?${query}`;

const invocationOf = async (
  { store, message, handler }: Asking,
  request: HttpHead | HttpRequest,
  context: HttpContext,
  caller: Caller,
): Promise<Invocation> => {
  const view = store.latest;
  const args = message.params.map((param) => argumentOf(view, param, request.query));
  const part = handler.part?.(handlerArgs(message, args), view);
  if (part !== undefined) await context.caller(part);
  const withdrawn = context.withdrawn();
  const takes = message.action?.method === 'GET' && 'gone' in request;
  const gone = takes ? [goneOf(request)] : [];
  const watched = message.action?.task === undefined ? 'untracked' : 'while-running';
  return { message, args, caller, watched, until: AbortSignal.any([withdrawn, ...gone]) };
};

/**
 * Whoever only takes and is gone needs nothing any more; one that sends may cut the connection at its end.
 */
const goneOf = (request: HttpRequest): AbortSignal => {
  const ended = new AbortController();
  const end = (): void => ended.abort(new Fault('INTERNAL_ERROR', ['The client went away']));
  request.gone().addEventListener('abort', end, { once: true });
  return ended.signal;
};

/**
 * What the query says. An object is named by its reference or its uuid, under its name or `<name>_uuid`, and
 * each pair of a map as `<name>:<key>=<value>`.
 */
const argumentOf = (view: View, param: WireParam, query: URLSearchParams): unknown => {
  const { name, type, optional, defaultValue } = param;
  if (type.kind === 'map') return type.read(pairsOf(`${name}:`, query) as never, name);
  const text = query.get(name) ?? (type.kind === 'ref' ? query.get(`${name}_uuid`) : null);
  if (text === null && optional) return defaultValue;
  if (text === null) throw new Fault('INVALID_VALUE', [name, `Name it in the query: ?${name}=...`]);
  return type.kind === 'ref' ? refOf(view, type, text) : type.read(plain(type, text) as never, name);
};

const pairsOf = (prefix: string, query: URLSearchParams): ReadonlyMap<string, string> =>
  new Map(
    [...query].flatMap(([key, value]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), value] as const] : [],
    ),
  );

const refOf = (view: View, { of }: Type<unknown>, text: string): Ref => {
  const cls = of as ClassName;
  if (view.get(cls, text as Ref<any>) !== undefined) return text as Ref;
  const named = view.byUuid(cls, text);
  if (named === undefined) throw new Fault('HANDLE_INVALID', [cls, text]);
  return named as Ref;
};

const plain = ({ kind }: Type<unknown>, text: string): unknown =>
  kind === 'bool' ? text === 'true' || text === '1' : text;
