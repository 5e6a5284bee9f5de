import { once } from 'node:events';
import { METHODS } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HttpHandler, HttpHead, HttpRequest } from '../../src/drivers/http/http.ts';
import { nodeHttpServer } from '../../src/drivers/node/http-server.ts';
import { chosenOf, parseAccept } from '../../src/edge/accept.ts';
import { basicOf } from '../../src/edge/authenticate.ts';
import { meantCookies, parseCookies } from '../../src/edge/cookies.ts';
import { longestFirst, routeAt } from '../../src/edge/longest-path.ts';
import { parseServiceUrl } from '../../src/rules/service-url.ts';
import { type Adapter, against, byCall, skip } from './subject.ts';

const limits = {
  connectionsMax: 8,
  connectionsOfOneMax: 8,
  pipelinedMax: 32,
  headMs: 10_000,
  bodyIdleMs: 10_000,
  headBytesMax: 16_384,
};

const unframed = (): never =>
  skip('no program stands before the server: what a TLS proxy puts before a head is not spoken here');

export const httpMisc = byCall({
  fix_cookie: ({ when }) => ({ 'cookies (pairs)': meantCookies(when['cookies (pairs)']) }),
  'choose content type': ({ when }) => ({
    'chosen (may be several)': chosenOf(parseAccept(when['Accept']) ?? [], when['offered']),
  }),
  'parse Accept': ({ when }) => {
    const accepted = parseAccept(when['Accept']);
    if (accepted === undefined) return { rejected: true };
    return { types: accepted.map(({ type, subtype, quality }) => [type, subtype, quality]) };
  },
  'parse URL': ({ when }) => {
    const url = parseServiceUrl(when['url']);
    if (url === undefined) return { rejected: true };
    const { scheme, path, query } = url;
    if (url.scheme === 'file') return { scheme, 'file path': url.file, path, query };
    const { host, port, credentials } = url;
    const auth = credentials && { auth: { basic: [credentials.user, credentials.password] } };
    return { scheme, host, port: port ?? null, path, query, ...auth };
  },
  'read request head from a stream': unframed,
  'longest prefix': ({ given, when, then }) => {
    const paths: readonly string[] = given['registered paths'];
    const found = routeAt(longestFirst(paths.map((path) => ({ path }))), when['path']);
    return against(found?.path ?? null, then['handler']);
  },
});

/** The head of a request as the real server gives it to its handler, and whether the connection is then closed. */
interface Received {
  readonly head: HttpHead & Partial<Pick<HttpRequest, 'contentLength'>>;
  readonly close: boolean;
}

/** A body as the head announces it: what becomes of one that is cut is another matter. */
const bodyFor = (bytes: string): string => {
  if (/^transfer-encoding: *chunked/im.test(bytes)) return '0\r\n\r\n';
  return '.'.repeat(Number(/^content-length: *(\d{1,6})/im.exec(bytes)?.[1] ?? 0));
};

/** Undefined: refused before a handler saw it. */
const received = async (bytes: string): Promise<Received | undefined> => {
  let head: HttpHead | undefined;
  const taken = async (got: HttpHead, end: () => void): Promise<void> => {
    head = got;
    end();
  };
  const handler: HttpHandler = {
    request: async (request, answer) => {
      for await (const _ of request.chunks());
      await taken(request, () => answer.send(200, {}, []));
    },
    connect: (request, socket: Duplex) => taken(request, () => socket.end('HTTP/1.1 200 OK\r\n\r\n')),
    upgrade: (request, _, refuse) => taken(request, () => refuse(400, {}, '')),
  };
  const serving = await nodeHttpServer.listen({ host: '127.0.0.1', port: 0, limits }, handler);
  try {
    const port = 'port' in serving.endpoint ? serving.endpoint.port : 0;
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(bytes + bodyFor(bytes));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    return head && { head, close: /^connection: *close\r$/im.test(String(answer)) };
  } finally {
    await serving.close();
  }
};

/** Headers that have a place of their own in the cases. */
const known = {
  'content-type': 'content_type',
  host: 'host',
  'user-agent': 'user_agent',
  'transfer-encoding': 'transfer_encoding',
  accept: 'accept',
  'task-id': 'task',
  'subtask-of': 'subtask_of',
  'content-length': 'content_length',
} as const;
const others: readonly string[] = ['connection', 'cookie', 'authorization', ...Object.keys(known)];

const authOf = (header: string | undefined): unknown => {
  if (header === undefined) return null;
  const basic = basicOf(header);
  return basic === undefined ? { unknown: header } : { basic };
};

/** What the parser of Node refuses on purpose, although lenient servers take it. */
const isTooLax = (bytes: string): boolean => {
  const [line = '', ...rest] = bytes.split('\n');
  const [method = ''] = line.split(' ');
  const headers = rest.slice(0, rest.indexOf('\r'));
  return (
    !METHODS.includes(method) ||
    / {2}|^ /.test(line) ||
    rest.length === 0 ||
    !line.endsWith('\r') ||
    headers.some((header) => !header.includes(':'))
  );
};

export const requestHeads: Adapter = async ({ when, then }) => {
  const came = await received(when['bytes']);
  const expected = then['rejected'] === true ? { rejected: true } : then;
  if (came === undefined) {
    if (then['rejected'] !== true && isTooLax(when['bytes'])) {
      skip(
        'the HTTP parser is strict: unknown methods, extra blanks, bare line feeds and nameless headers are refused',
      );
    }
    return against({ rejected: true }, expected);
  }
  const { head, close } = came;
  const named = Object.entries(known).map(([header, name]) => [name, head.headers[header] ?? null]);
  return against(
    {
      method: head.method,
      'path (percent-decoded)': head.path,
      'query (ordered pairs)': [...head.query],
      version: head.httpVersion,
      close: close || (head.httpVersion === '1.0' && head.headers['connection'] !== 'keep-alive'),
      auth: authOf(head.headers['authorization']),
      cookie: parseCookies(head.headers['cookie'] ?? ''),
      ...Object.fromEntries(named),
      'additional_headers (last first)': Object.entries(head.headers)
        .filter(([name]) => !others.includes(name))
        .toReversed(),
    },
    expected,
  );
};
