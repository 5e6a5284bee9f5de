import { isUtf8 } from 'node:buffer';
import { type JsonRpcCall, readJsonRpcCall } from '../codec/jsonrpc-reader.ts';
import { jsonFailure, jsonSuccessParts, jsonValue } from '../codec/jsonrpc-writer.ts';
import { DecodeFailure, type DecodeLimits, decodeLimits } from '../codec/limits.ts';
import { readXmlRpcCall } from '../codec/xmlrpc-reader.ts';
import { xmlFailure, xmlSuccessParts, xmlText } from '../codec/xmlrpc-writer.ts';
import { BodyTooLarge, type HttpAnswer, type HttpRequest } from '../drivers/http/http.ts';
import type { Clock } from '../std/clock.ts';
import type { Value } from '../std/value.ts';
import type { CallRequest, Dispatch, Outcome } from './dispatch.ts';
import type { Format, Parts } from './encoding.ts';
import { sendParts } from './long-answer.ts';
import type { RequestRoute } from './route.ts';

/**
 * Far above what a call needs, but extensions and plugins are sent whole files as parameters. Other
 * servers take 307,200 bytes.
 */
export const rpcBodyBytesMax = 16 * 1024 * 1024;
const rpcLimits: DecodeLimits = { ...decodeLimits, textMax: rpcBodyBytesMax };

const contentTypes = { xml: 'text/xml', json: 'application/json' } as const;

const fromAnywhere = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'no-cache, no-store' };

/** XML-RPC answers any POST that nobody else does, JSON-RPC has a path of its own. */
export const rpcRoutes = (dispatch: Dispatch, clock: Clock): readonly RequestRoute[] => [
  { method: 'POST', path: '/', handle: (request, answer) => serve(request, answer, dispatch, clock, 'xml') },
  {
    method: 'POST',
    path: '/jsonrpc',
    handle: (request, answer) => serve(request, answer, dispatch, clock, 'json'),
  },
  { method: 'OPTIONS', path: '/', handle: async (request, answer) => allow(request, answer) },
];

/** A browser asks before its script may call from another site. */
const allow = ({ headers }: HttpRequest, answer: HttpAnswer): void => {
  const asked = headers['access-control-request-headers'];
  answer.send(
    200,
    {
      ...fromAnywhere,
      'Access-Control-Allow-Headers': asked === undefined ? 'X-Requested-With' : `${asked}, X-Requested-With`,
      'Access-Control-Allow-Methods': 'PUT',
    },
    [],
  );
};

const serve = async (
  request: HttpRequest,
  answer: HttpAnswer,
  dispatch: Dispatch,
  clock: Clock,
  format: Format,
): Promise<void> => {
  const call = await readCall(request, format).catch((error: unknown) => refuse(answer, error));
  if (call === undefined) return;
  const outcome = await dispatch(call.method, call.params, callRequest(request, call));
  const parts = format === 'xml' ? await xmlAnswer(outcome) : await jsonAnswer(outcome, call);
  const headers = {
    'Content-Type': contentTypes[format],
    'Access-Control-Allow-Headers': 'X-Requested-With',
    ...fromAnywhere,
  };
  await sendParts(answer, clock, headers, parts);
};

interface ReadCall {
  readonly method: string;
  readonly params: readonly Value[];
  readonly garbled: boolean;
  readonly version: 1 | 2;
  readonly id: JsonRpcCall['id'];
}

const readCall = async (request: HttpRequest, format: Format): Promise<ReadCall> => {
  const bytes = await bodyOf(request);
  const text = new TextDecoder().decode(bytes);
  const garbled = !isUtf8(bytes);
  if (format === 'json') return { ...readJsonRpcCall(text, rpcLimits), garbled };
  return { ...readXmlRpcCall(text, rpcLimits), garbled, version: 2, id: 0n };
};

/** The bytes, and not the text that the request could give: whether they were UTF-8 must be told. */
const bodyOf = async (request: HttpRequest): Promise<Uint8Array> => {
  if ((request.contentLength ?? 0n) > BigInt(rpcBodyBytesMax)) throw new BodyTooLarge(rpcBodyBytesMax);
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of request.chunks()) {
    sizeBytes += chunk.length;
    if (sizeBytes > rpcBodyBytesMax) throw new BodyTooLarge(rpcBodyBytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, sizeBytes);
};

/** What is not a call is no call that failed: clients are used to a page of HTML here. */
const refuse = (answer: HttpAnswer, error: unknown): undefined => {
  if (error instanceof BodyTooLarge) page(answer, 413, error.message);
  else if (error instanceof DecodeFailure) page(answer, 500, `The request is not a call. ${error.message}`);
  else throw error;
};

const page = (answer: HttpAnswer, status: number, sentence: string): void =>
  answer.send(status, { 'Content-Type': 'text/html', ...fromAnywhere }, [
    `<html><body><p>${xmlText(sentence)}.</p></body></html>\n`,
  ]);

const callRequest = (request: HttpRequest, { garbled }: ReadCall): CallRequest => {
  const userAgent = request.headers['user-agent'];
  return {
    remoteAddress: request.remoteAddress,
    ...(userAgent === undefined ? {} : { userAgent }),
    signal: request.gone,
    garbled,
  };
};

const bareParts = [
  '<?xml version="1.0"?><methodResponse><params><param>',
  '</param></params></methodResponse>',
] as const;

const xmlAnswer = async (outcome: Outcome): Promise<Parts> => {
  if (outcome.kind === 'failure') return [xmlFailure(outcome.code, outcome.params)];
  const [before, after] = outcome.bare === true ? bareParts : xmlSuccessParts;
  return [before, ...(await outcome.encode('xml')), after];
};

const jsonAnswer = async (outcome: Outcome, { version, id }: ReadCall): Promise<Parts> => {
  if (outcome.kind === 'success') {
    const [before, after] = jsonSuccessParts(version, id);
    return [before, ...(await outcome.encode('json')), after];
  }
  const { code, params, early } = outcome;
  if (early === true) return [`{"jsonrpc":"2.0","error":${jsonValue([code, ...params])},"id":0}`];
  return [jsonFailure(version, id, code, params)];
};
