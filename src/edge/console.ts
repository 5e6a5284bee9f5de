import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { HttpHead } from '../drivers/http/http.ts';
import type { Ref } from '../model/types.ts';
import { holderOf } from '../objects/holdings.ts';
import { type ConsoleWays, connectConsole, consoleHost, isOfHost } from '../rules/consoles.ts';
import { asFault, Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { sharesOf } from '../std/shares.ts';
import { Unauthorised } from './authenticate.ts';
import type { HttpContext, Route } from './route.ts';

export interface ConsoleOptions extends ConsoleWays {
  /** How consoles of guests on other hosts than `self` are reached. Absent: all are reached from here. */
  readonly others?: {
    readonly self: Ref<'host'>;
    readonly open: (host: Ref<'host'>, name: string) => Promise<Duplex>;
  };
  readonly log: Log;
}

/** Consoles open at once, of one user and of all. */
export const consolesOfUserMax = 400;
export const consolesMax = 1_000;

/** `/console`: the bytes of a guest's screen (RFB) or serial line, by CONNECT or by WebSocket. */
export const consoleRoutes = (options: ConsoleOptions): readonly Route[] => {
  const open = sharesOf({ ofOneMax: consolesOfUserMax, totalMax: consolesMax });
  /** Joins the two streams until either ends. */
  const carry = async (client: Duplex, guest: Duplex): Promise<void> => {
    try {
      await Promise.race([pipeline(client, guest), pipeline(guest, client)]);
    } catch (error) {
      options.log.debug({ error: String(error) }, 'A console was cut');
    } finally {
      client.destroy();
      guest.destroy();
    }
  };
  const dial = async (request: HttpHead, context: HttpContext, hostPart: string): Promise<Duplex> => {
    const holder = holderOf(options.store.committed, await context.caller());
    const leave = open.take(holder, 1);
    if (leave === undefined) throw new Fault('TOO_MANY_PENDING_TASKS');
    try {
      const guest = await reach(request, context, hostPart);
      guest.once('close', leave);
      if (guest.destroyed) leave();
      return guest;
    } catch (error) {
      leave();
      throw error;
    }
  };
  const reach = async (request: HttpHead, context: HttpContext, hostPart: string): Promise<Duplex> => {
    const name = request.query.get('ref') ?? request.query.get('uuid');
    if (name === null)
      throw new Fault('INVALID_VALUE', ['uuid', 'Name the console: ?uuid=<uuid> or ?ref=<reference>']);
    if (isOfHost(options.store.committed, name)) await context.caller(hostPart);
    const { others, store } = options;
    const host = consoleHost(store.committed, name);
    const away = others !== undefined && host !== undefined && host !== others.self;
    return away ? others.open(host, name) : connectConsole(options, name);
  };
  return [
    {
      method: 'CONNECT',
      path: '/console',
      action: 'connect_console',
      connect: async (request, socket, context) => {
        let guest: Duplex;
        try {
          guest = await dial(request, context, 'host_console');
        } catch (error) {
          const { status, text } = refusalOf(error);
          socket.end(`HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n${text}\n`);
          return;
        }
        socket.write(
          'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nCache-Control: no-cache, no-store\r\n\r\n',
        );
        await carry(socket, guest);
      },
    },
    {
      method: 'UPGRADE',
      path: '/console',
      action: 'connect_console_ws',
      upgrade: async (request, accept, refuse, context) => {
        let guest: Duplex;
        try {
          guest = await dial(request, context, 'host_console_ws');
        } catch (error) {
          const { status, text } = refusalOf(error);
          refuse(Number.parseInt(status, 10), { 'Content-Type': 'text/plain' }, `${text}\n`);
          return;
        }
        const offered = (request.headers['sec-websocket-protocol'] ?? '').split(/, */);
        const client = await accept(offered.includes('binary') ? 'binary' : undefined).catch((error) => {
          guest.destroy();
          throw error;
        });
        await carry(client, guest);
      },
    },
  ];
};

const refusalOf = (error: unknown): { readonly status: string; readonly text: string } => {
  if (error instanceof Unauthorised) return { status: '401 Unauthorized', text: error.message };
  const fault = asFault(error);
  const status =
    fault.code === 'RBAC_PERMISSION_DENIED'
      ? '403 Forbidden'
      : /^(HANDLE|UUID)_INVALID$/.test(fault.code)
        ? '404 Not Found'
        : '503 Service Unavailable';
  return { status, text: fault.message };
};
