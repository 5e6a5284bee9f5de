import type { Duplex } from 'node:stream';
import type { Api, Command } from '../cli/command.ts';
import { commandsOf } from '../cli/commands.ts';
import { type ByteSource, byteSource } from '../cli/conversation.ts';
import { type OpenApi, type RunBy, serveCommand } from '../cli/serve.ts';
import type { HttpHead } from '../drivers/http/http.ts';
import type { Call } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import type { Clock } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { sharesOf } from '../std/shares.ts';
import { sourceOf } from '../std/source.ts';
import type { Value } from '../std/value.ts';
import type { Ask } from './dispatch.ts';
import type { ConnectRoute } from './route.ts';

export interface CommandRouteOptions {
  readonly catalog: Catalog;
  readonly host: Ref<'host'>;
  readonly ask: Ask;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a command and its words may take. */
export const commandBytesMax = 204_800;
/** Commands under way at once, of one address and of all. */
export const commandsOfOneMax = 200;
export const commandsMax = 500;
/** The words of a command are there within so long after its head. */
const bodyMs = 15_000;
/** A client has so long to close after it was told to exit. */
const exitMs = 5_000;

/**
 * `POST /cli`, where `xe` brings its commands. No HTTP answer is given: from the body on, the connection
 * speaks a protocol of its own, and the command runs as a client of the API whose calls come in here like
 * any other.
 */
export const commandRoute = (options: CommandRouteOptions): ConnectRoute => {
  const { catalog, clock, log } = options;
  // Made of all classes when the first client wants one, and not by every host that starts.
  let made: readonly Command[] | undefined;
  const commands = (): readonly Command[] => {
    made ??= commandsOf(catalog.classes);
    return made;
  };
  const shares = sharesOf({ ofOneMax: commandsOfOneMax, totalMax: commandsMax });
  return {
    method: 'POST',
    path: '/cli',
    action: 'open',
    connect: async (head, socket) => {
      const sizeBytes = lengthOf(head);
      if (typeof sizeBytes === 'string') return refuse(socket, sizeBytes);
      const leave = shares.take(sourceOf(head.remoteAddress), 1);
      if (leave === undefined) return refuse(socket, '503 Too Many Commands');
      try {
        const source = byteSource(socket, clock);
        const body = await source.exactly(sizeBytes, bodyMs).catch(() => undefined);
        if (body === undefined) return void socket.destroy();
        const open = (credentials: RunBy, gone: AbortSignal): Promise<OpenApi> =>
          openApi(options, { credentials, head, gone });
        await serveCommand(socket, source, body.toString('utf8'), {
          ...{ commands: commands(), clock, log, open },
        });
        close(socket, source, clock);
      } finally {
        leave();
      }
    },
  };
};

/** What is said instead where there is no such length. */
const lengthOf = ({ headers }: HttpHead): number | string => {
  const said = headers['content-length'];
  if (said === undefined || !/^\d{1,9}$/.test(said)) return '411 Length Required';
  return Number(said) > commandBytesMax ? '413 Content Too Large' : Number(said);
};

/** Clients take an answer that begins like one of HTTP for a failure of the server, and say so. */
const refuse = (socket: Duplex, status: string): void => {
  socket.end(`HTTP/1.0 ${status}\r\nConnection: close\r\n\r\n`);
  socket.resume();
};

/** The client closes after its exit; the end of ours may reach it before that. */
const close = (socket: Duplex, { gone }: ByteSource, clock: Clock): void => {
  if (gone.aborted) return void socket.destroy();
  socket.end();
  const cancel = clock.after(exitMs, () => socket.destroy());
  gone.addEventListener('abort', () => {
    cancel();
    socket.destroy();
  });
};

interface Opening {
  readonly credentials: RunBy;
  readonly head: HttpHead;
  readonly gone: AbortSignal;
}

const apiVersion = '1.0';

/** Logs in where no session is given, and out again at the end. */
const openApi = async (options: CommandRouteOptions, opening: Opening): Promise<OpenApi> => {
  const { credentials, head, gone } = opening;
  const http = { headers: head.headers, remoteAddress: head.remoteAddress, gone: () => gone };
  const send = (method: string, ...params: readonly unknown[]): Promise<any> =>
    options.ask(method, params as readonly Value[], http);
  if ('session' in credentials)
    return { ...apiWith(options, send, credentials.session), close: async () => {} };
  const { user, password, local } = credentials;
  const session = local
    ? await send('session.slave_local_login_with_password', user, password)
    : await send('session.login_with_password', user, password, apiVersion, 'cli');
  const api = apiWith(options, send, session);
  const logout = local ? 'session.local_logout' : 'session.logout';
  return { ...api, close: () => api.send(logout).catch(() => {}) };
};

const apiWith = (options: CommandRouteOptions, ask: Api['send'], session: string): Api => {
  const { catalog, host } = options;
  const send: Api['send'] = (method, ...args) => ask(method, session, ...args);
  const call = async (
    method: string,
    self: string,
    args: Readonly<Record<string, unknown>>,
  ): Promise<any> => {
    const message = catalog.find(method);
    if (message === undefined) throw new Fault('MESSAGE_METHOD_UNKNOWN', [method]);
    const given = message.params.map(({ name }, i) => (i === 0 && message.hasSelf ? self : args[name]));
    const absent = given.findLastIndex((value) => value !== undefined) + 1;
    return send(method, ...given.slice(0, absent));
  };
  const by = (other: string): Api => apiWith(options, ask, other);
  return { session, host, send, call: call as unknown as Call, by };
};
