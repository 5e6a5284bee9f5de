import { once } from 'node:events';
import { Agent, type IncomingMessage, request as plainRequest } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { Struct, Value } from '../../src/std/value.ts';

// A client of any XenAPI server, by its public wire alone: XML-RPC calls and HTTP requests.

/** What a server answered to a call that it refused: code and parameters of the XenAPI. */
export class Refused extends Error {
  readonly code: string;
  readonly params: readonly string[];

  constructor([code = '', ...params]: readonly string[]) {
    super(`${code}(${params.join(', ')})`);
    this.name = 'Refused';
    this.code = code;
    this.params = params;
  }
}

export interface Asked {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The path is sent as it is, with characters that belong into no path. */
  readonly verbatim?: boolean;
  /** Called again where the server sends the client on to another host. */
  readonly body?: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: AsyncIterable<Uint8Array>;
}

export interface Client {
  readonly url: string;
  /** Of the session; '' before it is there. */
  readonly session: string;
  /** A call as it is, without the session. */
  plain(method: string, ...params: readonly Value[]): Promise<Value>;
  call(method: string, ...params: readonly Value[]): Promise<Value>;
  /** Follows the server to the host that has what is asked for. */
  ask(asked: Asked): Promise<Answered>;
  logIn(): Promise<Client>;
  logOut(): Promise<void>;
  /** The same session, with another name of the client. */
  named(userAgent: string): Client;
  close(): void;
}

export interface Login {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

const limits = { depthMax: 64, itemsMax: 10_000_000, textMax: 1 << 29 };
const redirectsMax = 5;

/** Certificates of hosts are their own, so whoever tests a server has to trust it by its address. */
const agents = () => ({
  plain: new Agent({ keepAlive: true, maxSockets: 32 }),
  secure: new SecureAgent({ keepAlive: true, maxSockets: 32, rejectUnauthorized: false }),
});

type Agents = ReturnType<typeof agents>;

const asked = async (
  by: Agents,
  url: URL,
  { method, path, verbatim, headers = {}, body }: Asked,
): Promise<Answered> => {
  const secure = url.protocol === 'https:';
  const send = secure ? secureRequest : plainRequest;
  const agent = secure ? by.secure : by.plain;
  const request = send(url, { method, headers, agent, ...(verbatim === true && { path }) });
  const answer = once(request, 'response') as Promise<[IncomingMessage]>;
  const failed = once(request, 'error').then(([error]) => Promise.reject(error));
  const sent = (async () => {
    for await (const piece of body?.() ?? []) if (!request.write(piece)) await once(request, 'drain');
    request.end();
  })();
  // A server may answer before it has read what is sent, and then reads no further.
  sent.catch(() => undefined);
  failed.catch(() => undefined);
  const [incoming] = await Promise.race([answer, failed]);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: incoming };
};

export const bytesOf = async (answer: Answered): Promise<Buffer> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of answer.body) pieces.push(piece);
  return Buffer.concat(pieces);
};

export const connect = ({ url, user, password }: Login): Client => {
  const by = agents();

  const client = (session: string, userAgent: string): Client => {
    const ask = async (what: Asked): Promise<Answered> => {
      let to = new URL(what.path, url);
      for (let redirects = 0; ; redirects += 1) {
        const headers = { 'user-agent': userAgent, ...what.headers };
        const answer = await asked(by, to, { ...what, headers });
        const { location } = answer.headers;
        if (answer.status !== 302 || location === undefined || redirects === redirectsMax) return answer;
        await bytesOf(answer);
        to = new URL(location, to);
      }
    };
    const plain = async (method: string, ...params: readonly Value[]): Promise<Value> => {
      const body = Buffer.from(xmlCall(method, params));
      const headers = { 'content-type': 'text/xml', 'content-length': String(body.length) };
      const answer = await ask({ method: 'POST', path: '/', headers, body: () => [body] });
      const response = readXmlRpcResponse((await bytesOf(answer)).toString(), limits);
      if (response.kind === 'failure') throw new Refused(response.error as readonly string[]);
      if (response.kind === 'fault') throw new Refused(['FAULT', String(response.code), response.message]);
      return response.value;
    };
    return {
      url,
      session,
      ask,
      plain,
      call: (method, ...params) => plain(method, session, ...params),
      logIn: async () =>
        client(
          String(await plain('session.login_with_password', user, password, '2.21', 'quicktest')),
          userAgent,
        ),
      logOut: async () => void (await plain('session.logout', session)),
      named: (name) => client(session, name),
      close: () => {
        by.plain.destroy();
        by.secure.destroy();
      },
    };
  };
  return client('', 'quicktest');
};

export type Row = ReadonlyMap<string, Value>;

export const textIn = (row: Row, field: string): string => String(row.get(field) ?? '');
export const textsIn = (row: Row, field: string): readonly string[] =>
  (row.get(field) ?? []) as readonly string[];
export const mapIn = (row: Row, field: string): Struct => (row.get(field) ?? new Map()) as Struct;

export const rowOf = async (server: Client, cls: string, ref: string): Promise<Row> =>
  (await server.call(`${cls}.get_record`, ref)) as Row;

export const rowsOf = async (server: Client, cls: string): Promise<ReadonlyMap<string, Row>> =>
  (await server.call(`${cls}.get_all_records`)) as ReadonlyMap<string, Row>;

export const rowsWhere = async (
  server: Client,
  cls: string,
  expression: string,
): Promise<ReadonlyMap<string, Row>> =>
  (await server.call(`${cls}.get_all_records_where`, expression)) as ReadonlyMap<string, Row>;

export const nullRef = 'OpaqueRef:NULL';
