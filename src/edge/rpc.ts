import { isAscii, isUtf8 } from 'node:buffer';
import { type JsonRpcCall, readJsonRpcCall } from '../codec/jsonrpc-reader.ts';
import { jsonFailure, jsonSuccessParts, jsonValue } from '../codec/jsonrpc-writer.ts';
import { DecodeFailure, type DecodeLimits, decodeLimits } from '../codec/limits.ts';
import { readXmlRpcCall } from '../codec/xmlrpc-reader.ts';
import { xmlFailure, xmlSuccessParts, xmlText } from '../codec/xmlrpc-writer.ts';
import { BodyTooLarge, type HttpAnswer, type HttpRequest } from '../drivers/http/http.ts';
import type { Clock } from '../std/clock.ts';
import type { Value } from '../std/value.ts';
import type { Dispatch, Outcome } from './dispatch.ts';
import type { Format } from './encoding.ts';
import { sendParts } from './long-answer.ts';
import type { RequestRoute } from './route.ts';

/**
 * Far above what a call needs, but extensions and plugins are sent whole files as parameters. Other
 * servers take 307,200 bytes.
 */
export const rpcBodyBytesMax = 16 * 1024 * 1024;
const rpcLimits: DecodeLimits = { ...decodeLimits, textMax: rpcBodyBytesMax };

const fromAnywhere = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'no-cache, no-store' };
const scriptHeaders = { 'Access-Control-Allow-Headers': 'X-Requested-With', ...fromAnywhere };
const answerHeaders = {
  xml: { 'Content-Type': 'text/xml', ...scriptHeaders },
  json: { 'Content-Type': 'application/json', ...scriptHeaders },
} as const;

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
  let call: ReadCall;
  try {
    call = readCall(await request.bytes(rpcBodyBytesMax), format);
  } catch (error) {
    refuse(answer, error);
    return;
  }
  const outcome = await dispatch(call.method, call.params, { http: request, garbled: call.garbled });
  if (outcome.kind === 'failure') {
    answer.send(200, answerHeaders[format], [failureText(format, outcome, call)]);
    return;
  }
  const [before, after] = around(format, outcome, call);
  const encoded = outcome.encode(format);
  // Short results are there at once, and waiting for them would be a good part of what a small call costs.
  const result = encoded instanceof Promise ? await encoded : encoded;
  return sendParts(answer, clock, answerHeaders[format], [before, ...result, after]);
};

interface ReadCall {
  readonly method: string;
  readonly params: readonly Value[];
  readonly garbled: boolean;
  readonly version: 1 | 2;
  readonly id: JsonRpcCall['id'];
}

/** A byte order mark is left out, and U+FFFD stands for what is not UTF-8. */
const utf8 = new TextDecoder();

const readCall = (bytes: Buffer, format: Format): ReadCall => {
  const plain = isAscii(bytes);
  const text = plain ? bytes.toString('latin1') : utf8.decode(bytes);
  const garbled = !plain && !isUtf8(bytes);
  if (format === 'json') {
    const { method, params, version, id } = readJsonRpcCall(text, rpcLimits);
    return { method, params, garbled, version, id };
  }
  const { method, params } = readXmlRpcCall(text, rpcLimits);
  return { method, params, garbled, version: 2, id: 0n };
};

/** What is not a call is no call that failed: clients are used to a page of HTML here. */
const refuse = (answer: HttpAnswer, error: unknown): void => {
  if (error instanceof BodyTooLarge) page(answer, 413, error.message);
  else if (error instanceof DecodeFailure) page(answer, 500, `The request is not a call. ${error.message}`);
  else throw error;
};

const page = (answer: HttpAnswer, status: number, sentence: string): void =>
  answer.send(status, { 'Content-Type': 'text/html', ...fromAnywhere }, [
    `<html><body><p>${xmlText(sentence)}.</p></body></html>\n`,
  ]);

const bareParts = [
  '<?xml version="1.0"?><methodResponse><params><param>',
  '</param></params></methodResponse>',
] as const;

/** What comes before and after a result. */
const around = (
  format: Format,
  { bare }: Outcome & { kind: 'success' },
  { version, id }: ReadCall,
): readonly [before: string, after: string] => {
  if (format === 'json') return jsonSuccessParts(version, id);
  return bare === true ? bareParts : xmlSuccessParts;
};

const failureText = (
  format: Format,
  { code, params, early }: Outcome & { kind: 'failure' },
  { version, id }: ReadCall,
): string => {
  if (format === 'xml') return xmlFailure(code, params);
  if (early === true) return `{"jsonrpc":"2.0","error":${jsonValue([code, ...params])},"id":0}`;
  return jsonFailure(version, id, code, params);
};
