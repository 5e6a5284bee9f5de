import type { Duplex } from 'node:stream';
import type { HttpAnswer, HttpHandler, HttpHead } from '../drivers/http/http.ts';
import type { Catalog } from '../objects/catalog.ts';
import { type HttpAction, httpAction } from '../objects/http-actions.ts';
import type { Invoker } from '../objects/invoke.ts';
import type { Services } from '../objects/services.ts';
import { asFault, Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { own } from '../std/own.ts';
import type { Store } from '../store/store.ts';
import { actionRoutes, type Others } from './actions.ts';
import type { Audit } from './audit.ts';
import { sessionOwner, Unauthorised } from './authenticate.ts';
import { bodiesOf, bodyStatus } from './bodies.ts';
import { failNamedTask } from './call-task.ts';
import { commandRoute } from './command-route.ts';
import { contextOf, openContext } from './context.ts';
import { dispatcherOf } from './dispatch.ts';
import { fragmentsOf } from './encoding.ts';
import { eventsOf } from './events.ts';
import { longestFirst, routeAt } from './longest-path.ts';
import { mandatesOf } from './mandates.ts';
import type { ConnectRoute, HttpContext, RequestRoute, Route, UpgradeRoute } from './route.ts';
import { rpcRoutes } from './rpc.ts';
import { type Sites, siteRefusal } from './sites.ts';
import { unbuiltRoutes } from './unbuilt.ts';

export interface EdgeOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly invoker: Invoker;
  readonly services: Services;
  readonly log: Log;
  /** Where actions are done that are not this host's. Absent: it is alone. */
  readonly others?: Others;
  /** What is served beside calls and the actions of classes. */
  readonly routes?: readonly Route[];
  readonly eventWaitersMax?: number;
  /** Absent: browsers call from pages of this host alone. */
  readonly sites?: Sites;
  /** Where it is written down who changed what. */
  readonly audit?: Audit;
  /** It is reached by a socket that only whoever may use this host's files can open. */
  readonly local?: true;
}

export interface Edge extends HttpHandler {
  /** Calls that wait for events now. */
  readonly waiting: number;
  /** What runs on behalf of sessions now. */
  readonly mandates: number;
  /** Ends the calls that wait for events, so that their connections can be closed. */
  stop(): void;
}

/** Everything that comes in by HTTP. The longest path that a request's path begins with has it. */
export const edgeOf = (options: EdgeOptions): Edge => {
  const { catalog, store, invoker, services, log } = options;
  const fragments = fragmentsOf(catalog.classes);
  const mandates = mandatesOf(services);
  const events = eventsOf({
    catalog,
    store,
    mandates,
    clock: services.clock,
    fragments,
    ...(options.eventWaitersMax === undefined ? {} : { waitersMax: options.eventWaitersMax }),
  });
  const { dispatch, ask } = dispatcherOf({ ...options, events, fragments });
  const bodies = bodiesOf({ isSession: isSessionOf(services), clock: services.clock });
  const built = [
    healthz,
    ...rpcRoutes({ dispatch, clock: services.clock, bodies }),
    ...actionRoutes(options),
    commandRoute({ catalog, host: services.host, ask, clock: services.clock, log }),
    ...(options.routes ?? []),
  ];
  const routes = longestFirst<Route>([...built, ...unbuiltRoutes(options, built)]);
  const taken = routes.filter((route) => 'connect' in route && route.method !== 'CONNECT');
  const rights = new Map(routes.map((route) => [route, rightTo(catalog, route)]));
  const by = { catalog, services, invoker, mandates, local: options.local };
  const find = <R extends Route>(method: string, path: string): R | undefined =>
    routeAt(routes, path, (route) => route.method === method) as R | undefined;

  /**
   * Runs a handler as whoever the request says it is, if he may, ends what that opened, and says what went
   * wrong. Once he may not any more, the connection is cut and the handler's end is nobody's answer. The only
   * promise of its own around a call, which is a good part of what a small call costs.
   */
  const within = async (
    head: HttpHead,
    route: Route,
    handle: (context: HttpContext) => Promise<void>,
    { refuse, cut }: Ending,
  ): Promise<void> => {
    const action = rights.get(route);
    if (action === undefined) {
      try {
        await handle(openContext);
      } catch (error) {
        refuse(refusalOf(error, head, log), error);
      }
      return;
    }
    const context = contextOf(head, action, by, (withdrawal) => cut(refusalOf(withdrawal, head, log)));
    let fault: Fault | undefined;
    try {
      await context.caller();
      await handle(context);
    } catch (error) {
      fault = asFault(context.withdrawn().aborted ? context.withdrawn().reason : error);
      await failNamedTask(options, head.query, await context.who(), fault);
      if (!context.withdrawn().aborted) refuse(refusalOf(error, head, log, realmOf(action)), error);
    } finally {
      await context.end((caller) => {
        if (action !== 'any session') options.audit?.addAction(action, head, caller, fault);
      });
    }
  };

  /** Before anything else, by whichever way it comes in. */
  const stranger = (head: HttpHead): Refusal | undefined => {
    const reason = siteRefusal(head, options.sites ?? noSites, store);
    return reason === undefined ? undefined : refusal(403, `${reason}.`);
  };

  return {
    request: (request, answer) => {
      const refused = stranger(request);
      if (refused !== undefined) return said(say(answer, refused));
      const route = find<RequestRoute>(request.method, request.path);
      if (route === undefined) {
        const served = routes.some(({ method }) => method === request.method);
        return said(say(answer, notServed(served, request)));
      }
      const refuse: Ending['refuse'] = (refusal, error) => {
        // Too late to say so: the driver cuts the connection.
        if (answer.begun()) throw error;
        say(answer, refusal);
      };
      const cut: Ending['cut'] = (refusal) => (answer.begun() ? answer.cut() : say(answer, refusal));
      return within(request, route, (context) => route.handle(request, answer, context), { refuse, cut });
    },
    connect: (request, socket) => {
      const refused = stranger(request);
      if (refused !== undefined) return said(sayRaw(socket, refused));
      const route = find<ConnectRoute>(request.method, request.path);
      if (route === undefined) return said(sayRaw(socket, notServed(true, request)));
      return within(request, route, (context) => route.connect(request, socket, context), {
        refuse: (refusal) => sayRaw(socket, refusal),
        cut: () => socket.destroy(),
      });
    },
    takes: (method, target) =>
      taken.some((route) => route.method === method && target.startsWith(route.path)),
    upgrade: (request, accept, refuse) => {
      const route = find<UpgradeRoute>('UPGRADE', request.path);
      const turnAway = ({ status, headers, body }: Refusal): void => refuse(status, headers, body);
      const refused = stranger(request);
      if (refused !== undefined) return said(turnAway(refused));
      if (route === undefined) return said(turnAway(notServed(true, request)));
      let accepted: Promise<Duplex> | undefined;
      const open = (protocol: string | undefined): Promise<Duplex> => {
        accepted = accept(protocol);
        return accepted;
      };
      return within(request, route, (context) => route.upgrade(request, open, refuse, context), {
        refuse: turnAway,
        cut: (refusal) => {
          if (accepted === undefined) turnAway(refusal);
          else void accepted.then((stream) => stream.destroy()).catch(() => {});
        },
      });
    },
    get waiting() {
      return events.waiting;
    },
    get mandates() {
      return mandates.size;
    },
    stop: () => {
      events.stop();
      mandates.stop();
    },
  };
};

const noSites: Sites = { allowedOrigins: [], hostNames: [] };

const isSessionOf =
  (services: Services) =>
  (ref: string): boolean => {
    try {
      return sessionOwner(services, ref) !== undefined;
    } catch (error) {
      if (error instanceof Fault) return false;
      throw error;
    }
  };

/** What a route asks its callers for; nothing where it is open. Throws where nobody has declared it. */
const rightTo = (catalog: Catalog, { action, path }: Route): HttpAction | 'any session' | undefined => {
  if (action === 'open') return undefined;
  const right = action === 'any session' ? action : httpAction(catalog, action);
  if (right === undefined) throw new Error(`What is at ${path} asks for ${action}, which nobody declares`);
  return right;
};

/** How a request ends that its handler does not end. */
interface Ending {
  /** The handler failed. */
  readonly refuse: (refusal: Refusal, error: unknown) => void;
  /** Whoever asked has no right to it any more, and the handler still runs. */
  readonly cut: (refusal: Refusal) => void;
}

const said = async (_: void): Promise<void> => {};

const plainText = { 'Content-Type': 'text/plain; charset=utf-8' };

/** Ready to serve calls: whoever waits for that asks here. */
const healthz: RequestRoute = {
  method: 'GET',
  path: '/healthz',
  action: 'open',
  handle: async (_, answer) => answer.send(200, plainText, ['ok\n']),
};

interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const refusal = (status: number, sentence: string, headers = {}): Refusal => ({
  status,
  headers: { ...plainText, ...headers },
  body: `${sentence}\n`,
});

/** `served`: other paths are served by this method. */
const notServed = (served: boolean, { method, path }: HttpHead): Refusal =>
  served
    ? refusal(
        // Other hosts have it so: a client that sends is told that it may not.
        method === 'PUT' || method === 'CONNECT' ? 403 : 404,
        `There is nothing at ${asText(path.slice(0, 200))}. XenAPI calls are POST to / or to /jsonrpc.`,
      )
    : refusal(501, `The method ${method.slice(0, 20)} is not served.`);

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** What a client chose, in an answer that no browser can take for a page, whatever it is told of its type. */
const asText = (chosen: string): string => chosen.replaceAll(/[&<>"']/g, (one) => own(entities, one) ?? '');

const statuses: Readonly<Record<string, number>> = {
  SESSION_INVALID: 401,
  RBAC_PERMISSION_DENIED: 403,
  HANDLE_INVALID: 404,
  UUID_INVALID: 404,
  NOT_IMPLEMENTED: 501,
  TOO_MANY_PENDING_TASKS: 503,
  // There is nothing to show just now.
  VM_BAD_POWER_STATE: 503,
  // Misdirected: what else it says is where to go.
  HOST_IS_SLAVE: 421,
};

/** What a password is asked for. */
const realmOf = (action: HttpAction | 'any session'): string =>
  action === 'any session' ? 'XenAPI' : action.name;

const refusalOf = (error: unknown, head: HttpHead, log: Log, realm = 'XenAPI'): Refusal => {
  if (error instanceof Unauthorised) {
    return refusal(401, `${error.message}.`, { 'WWW-Authenticate': `Basic realm="${realm}"` });
  }
  if (error instanceof Fault) return refusal(own(statuses, error.code) ?? 500, error.message);
  const status = bodyStatus(error);
  if (status !== undefined) return refusal(status, `${(error as Error).message}.`);
  log.error(
    { error, method: head.method, path: head.path },
    'A request failed with something that is not a fault',
  );
  return refusal(500, 'The request failed for a reason that was written to the log.');
};

const say = (answer: HttpAnswer, { status, headers, body }: Refusal): void =>
  answer.send(status, headers, [body]);

/** A refusal on a socket that no HTTP server looks after any more. */
const sayRaw = (socket: Duplex, { status, headers, body }: Refusal): void => {
  const lines = Object.entries({ ...headers, 'Content-Length': String(Buffer.byteLength(body)) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.end(`HTTP/1.1 ${status} Refused\r\n${head}Connection: close\r\n\r\n${body}`);
};
