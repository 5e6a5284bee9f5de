import { type Agent, type RequestOptions, request } from 'node:http';
import { connect } from 'node:net';
import WebSocket from 'ws';
import { readJsonRpcResponse } from '../../src/codec/jsonrpc-reader.ts';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { errorOf } from '../../src/codec/rpclib.ts';
import { readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { Value } from '../../src/std/value.ts';

// The ways into a host: calls in both languages, HTTP requests, CONNECT and WebSockets.

/** An answer that has not come by then is none. */
const patienceMs = 60_000;
const large = { depthMax: 64, itemsMax: 10_000_000, textMax: 1 << 29 };

export interface Answered {
  readonly status: number;
  readonly text: string;
}

/** By which headers it asks, beside the way itself. */
type Headers = Readonly<Record<string, string>>;

/** Asks at a URL; of what goes on after it was let in, only that it was. */
export type Door = (url: URL, headers: Headers) => Promise<Answered>;

const exchange = (url: URL, options: RequestOptions, body: string): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { timeout: patienceMs, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.once('error', reject);
    });
    sent.once('timeout', () => sent.destroy(new Error(`No answer from ${url.pathname}`)));
    sent.once('error', reject);
    sent.end(body);
  });

export const byRequest =
  (method: string): Door =>
  (url, headers) =>
    exchange(url, { method, headers }, method === 'PUT' ? 'x' : '');

export const byConnect: Door = (url, headers) =>
  new Promise((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname);
    const given = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`CONNECT ${url.pathname}${url.search} HTTP/1.0\r\n${given.join('')}\r\n`);
    let text = '';
    const answered = (): void => {
      const status = Number(/^HTTP\/1\.. (\d+)/.exec(text)?.[1]);
      resolve({ status, text });
    };
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (/^HTTP\/1\.. 200 /.test(text)) socket.destroy();
    });
    socket.setTimeout(patienceMs, () => socket.destroy(new Error(`No answer from ${url.pathname}`)));
    socket.once('error', reject);
    socket.once('close', answered);
  });

export const byWebSocket: Door = (url, headers) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(new URL(url.href.replace('http', 'ws')), {
      headers,
      handshakeTimeout: patienceMs,
    });
    socket.once('error', reject);
    socket.once('open', () => {
      socket.terminate();
      resolve({ status: 101, text: '' });
    });
    socket.once('unexpected-response', (_, response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
  });

export type Language = 'xml' | 'json';

/** Code and parameters of the error that a call ends with; nothing for a success. */
export const errorOfCall = async (
  by: { readonly http: string; readonly language: Language; readonly agent: Agent },
  method: string,
  params: readonly Value[],
): Promise<readonly string[]> => {
  const isXml = by.language === 'xml';
  const body = isXml ? xmlCall(method, params) : `{"jsonrpc":"2.0",${jsonCall(method, params, 1n).slice(1)}`;
  const url = new URL(isXml ? '/' : '/jsonrpc', by.http);
  const { text } = await exchange(url, { method: 'POST', agent: by.agent }, body);
  const answer = isXml ? readXmlRpcResponse(text, large) : readJsonRpcResponse(text, large);
  if (answer.kind === 'fault') return ['fault', answer.message];
  if (answer.kind !== 'failure') return [];
  const { code, params: why } = errorOf(answer.error);
  return [code, ...why];
};
