import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { inspect } from 'node:util';
import session from '../../actors/session/behaviour.ts';
import { readJsonRpcResponse } from '../../src/codec/jsonrpc-reader.ts';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { errorOf } from '../../src/codec/rpclib.ts';
import { readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { nodeHttpServer } from '../../src/drivers/node/http-server.ts';
import type { Others } from '../../src/edge/actions.ts';
import { type AuditTrail, auditOf } from '../../src/edge/audit.ts';
import { type Edge, edgeOf } from '../../src/edge/edge.ts';
import type { Route } from '../../src/edge/route.ts';
import type { Sites } from '../../src/edge/sites.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import { newRef } from '../../src/objects/tasks.ts';
import type { Log } from '../../src/std/log.ts';
import { isStruct, type Value } from '../../src/std/value.ts';
import { type World, type WorldOptions, world } from '../world.ts';

// A host behind the real HTTP server, on a port of loopback, and clients that speak both languages to it.

export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
  /** The same as it came. */
  readonly bytes: Buffer;
}

/** A result, or the code and the parameters of a failure. */
export type Reply = { readonly value: Value } | { readonly error: readonly string[] };

/** Clients of a host that is served. */
export interface Doors {
  readonly edge: Edge;
  readonly port: number;
  http(method: string, path: string, options?: HttpOptions): Promise<HttpReply>;
  socket(): Promise<Socket>;
  xml(method: string, ...params: readonly Value[]): Promise<Reply>;
  json(method: string, ...params: readonly Value[]): Promise<Reply>;
  /** The result of a call over JSON-RPC; a failure is thrown. */
  call(method: string, ...params: readonly Value[]): Promise<any>;
  /** A session made directly in the store. */
  session(fields?: Partial<RecordNamed<'session'>>): Promise<Ref<'session'>>;
  /** The session of a directory user with this role. */
  sessionWithRole(role: string): Promise<Ref<'session'>>;
  close(): Promise<void>;
}

export interface Served extends Doors {
  readonly world: World;
  /** What was logged as an error, which is a bug. Whatever nobody takes makes `close` fail. */
  takeErrors(): readonly LoggedError[];
}

export interface LoggedError {
  readonly context: object;
  readonly message: string;
}

export interface HttpOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

interface DoorOptions {
  readonly routes?: readonly Route[];
  readonly others?: Others;
  readonly eventWaitersMax?: number;
  readonly sites?: Sites;
  /** Takes the lines of the audit log. */
  readonly trail?: Pick<AuditTrail, 'add'>;
}

export interface ServedOptions extends WorldOptions, DoorOptions {}

const limits = {
  connectionsMax: 2_048,
  connectionsOfOneMax: 2_048,
  pipelinedMax: 32,
  headMs: 10_000,
  bodyIdleMs: 30_000,
  headBytesMax: 16_384,
};

export const served = async (options: ServedOptions = {}): Promise<Served> => {
  const errors: LoggedError[] = [];
  const log: Log = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (context, message) => void errors.push({ context, message }),
  };
  const inside = await world({
    ...options,
    behaviours: [session, ...(options.behaviours ?? [])],
    services: {
      credentials: {
        verify: async (user, password) => `${user}:${password}` === 'root:pa:ss',
        setPassword: async () => {},
      },
      log,
      ...options.services,
    },
  });
  const doors = await doorsTo(inside, log, options);
  return {
    ...doors,
    world: inside,
    takeErrors: () => errors.splice(0),
    close: async () => {
      await doors.close();
      await inside.close();
      if (errors.length > 0) throw new Error(`Nobody expected what was logged as errors: ${inspect(errors)}`);
    },
  };
};

/** What a host is behind its doors. */
export type Inside = Pick<World, 'catalog' | 'store' | 'invoker' | 'services'>;

export const doorsTo = async (inside: Inside, log: Log, options: DoorOptions = {}): Promise<Doors> => {
  const { catalog, store, invoker, services } = inside;
  const edge = edgeOf({
    catalog,
    store,
    invoker,
    services,
    log,
    ...(options.others && { others: options.others }),
    ...(options.routes === undefined ? {} : { routes: options.routes }),
    ...(options.sites === undefined ? {} : { sites: options.sites }),
    ...(options.trail === undefined
      ? {}
      : { audit: auditOf({ catalog, trail: options.trail, clock: services.clock, rows: store.tables }) }),
    ...(options.eventWaitersMax === undefined ? {} : { eventWaitersMax: options.eventWaitersMax }),
  });
  const serving = await nodeHttpServer.listen({ host: '127.0.0.1', port: 0, limits }, edge);
  const port = 'port' in serving.endpoint ? serving.endpoint.port : 0;
  const agent = new Agent({ keepAlive: true });

  const http: Served['http'] = (method, path, { headers = {}, body = '', signal } = {}) =>
    new Promise((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port,
          method,
          path,
          agent,
          headers: { 'content-length': Buffer.byteLength(body), ...headers },
          ...(signal === undefined ? {} : { signal }),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk) => chunks.push(chunk));
          response.once('error', reject);
          response.once('end', () => {
            const bytes = Buffer.concat(chunks);
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers as Record<string, string | undefined>,
              body: bytes.toString('utf8'),
              bytes,
            });
          });
        },
      );
      sent.once('error', reject);
      sent.end(body);
    });

  const ok = ({ status, body }: HttpReply): string => {
    if (status !== 200) throw new Error(`HTTP ${status}: ${body}`);
    return body;
  };

  const xml: Served['xml'] = async (method, ...params) => {
    const answer = readXmlRpcResponse(ok(await http('POST', '/', { body: xmlCall(method, params) })));
    if (answer.kind === 'failure') return { error: listed(answer.error) };
    if (answer.kind === 'fault') throw new Error(answer.message);
    return { value: answer.value };
  };

  const json: Served['json'] = async (method, ...params) => {
    const body = `{"jsonrpc":"2.0",${jsonCall(method, params, 1n).slice(1)}`;
    const answer = readJsonRpcResponse(ok(await http('POST', '/jsonrpc', { body })));
    return answer.kind === 'failure' ? { error: listed(answer.error) } : { value: answer.value };
  };

  return {
    edge,
    port,
    http,
    socket: () =>
      new Promise((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => resolve(socket));
        socket.once('error', reject);
      }),
    xml,
    json,
    call: async (method, ...params) => {
      const reply = await json(method, ...params);
      if ('value' in reply) return reply.value;
      throw new Error(reply.error.join(' '));
    },
    session: async (fields = {}) => {
      const ref = newRef<'session'>(services);
      const superuser = {
        last_active: dateTimeOf(services.clock.now()),
        uuid: services.random.uuid(),
        is_local_superuser: true,
        auth_user_name: 'root',
      };
      await store.commit((tx) => tx.create('session', ref, { ...superuser, ...fields }));
      return ref;
    },
    sessionWithRole: async (role) => {
      const [session, subject, held] = [
        newRef<'session'>(services),
        newRef<'subject'>(services),
        newRef<'role'>(services),
      ];
      await store.commit((tx) => {
        tx.create('role', held, { uuid: services.random.uuid(), name_label: role });
        tx.create('subject', subject, { uuid: services.random.uuid(), roles: [held] });
        tx.create('session', session, {
          uuid: services.random.uuid(),
          subject,
          auth_user_name: 'someone',
          last_active: dateTimeOf(services.clock.now()),
        });
      });
      return session;
    },
    close: async () => {
      edge.stop();
      agent.destroy();
      await serving.close();
    },
  };
};

const listed = (error: Value): readonly string[] => {
  const { code, params } = errorOf(error);
  return [code, ...params];
};

/** A member of a struct. */
export const at = (value: Value | undefined, ...path: readonly string[]): any =>
  path.reduce<any>((inside, name) => (isStruct(inside) ? inside.get(name) : undefined), value);
