import type { IncomingMessage } from 'node:http';
import type { HttpHead, HttpRequest } from '../http/http.ts';
import { bodyBytes, bodyChunks } from './http-body.ts';
import type { Exchange } from './http-exchange.ts';

/** The head of a request; undefined when its target cannot be decoded or it is not HTTP/1. */
export const httpHead = (incoming: IncomingMessage, secure: boolean): HttpHead | undefined => {
  // A line without a version is HTTP/0.9, which knows neither headers nor a status.
  if (incoming.httpVersionMajor !== 1) return undefined;
  const target = pathAndQuery(incoming.url ?? '/');
  const queryAt = target.indexOf('?');
  const path = decoded(queryAt < 0 ? target : target.slice(0, queryAt));
  if (path === undefined) return undefined;
  return {
    method: incoming.method ?? '',
    path: path === '' ? '/' : path,
    query: queryAt < 0 ? NO_QUERY : new URLSearchParams(target.slice(queryAt + 1)),
    // Only Set-Cookie would be a list, and that is no header of requests.
    headers: incoming.headers as Readonly<Record<string, string | undefined>>,
    httpVersion: incoming.httpVersionMinor === 0 ? '1.0' : '1.1',
    remoteAddress: plainAddress(incoming.socket.remoteAddress ?? ''),
    secure,
  };
};

/** Most requests have none. */
const NO_QUERY = new URLSearchParams();

/**
 * Proxies may send the whole address, browsers a fragment: what is around path and query says nothing that we
 * need.
 */
const pathAndQuery = (target: string): string => {
  const local = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?#]*/i, '');
  const fragmentAt = local.indexOf('#');
  return fragmentAt < 0 ? local : local.slice(0, fragmentAt);
};

/** A socket for both families shows IPv4 clients by IPv6 names. */
const plainAddress = (address: string): string =>
  address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;

const decoded = (path: string): string | undefined => {
  if (!path.includes('%')) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
};

/** A request with its body. `awaited`: the client sends the body only after `100 Continue`. */
export const httpRequest = (
  head: HttpHead,
  exchange: Exchange,
  options: { readonly idleMs: number; readonly awaited: boolean },
): HttpRequest => {
  const { response } = exchange;
  let { awaited } = options;
  const rules = {
    idleMs: options.idleMs,
    invite() {
      if (awaited && !response.headersSent) response.writeContinue();
      awaited = false;
    },
  };
  let gone: AbortSignal | undefined;
  return {
    method: head.method,
    path: head.path,
    query: head.query,
    headers: head.headers,
    httpVersion: head.httpVersion,
    remoteAddress: head.remoteAddress,
    secure: head.secure,
    contentLength: () => announcedLength(exchange),
    bytes: (limits) => bodyBytes(exchange, limits, rules),
    chunks: () => bodyChunks(exchange, rules),
    gone() {
      gone ??= goneSignal(exchange);
      return gone;
    },
  };
};

const announcedLength = ({ incoming, source }: Exchange): bigint | undefined => {
  const announced = incoming.headers['content-length'];
  if (announced !== undefined) return BigInt(announced);
  return incoming.headers['transfer-encoding'] !== undefined || source !== incoming ? undefined : 0n;
};

const goneSignal = (exchange: Exchange): AbortSignal => {
  const gone = new AbortController();
  exchange.leave = () => gone.abort(new Error('The client went away'));
  if (exchange.socket.destroyed) exchange.leave();
  return gone.signal;
};
