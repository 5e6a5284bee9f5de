import { isAscii, isUtf8 } from 'node:buffer';
import { type JsonRpcCall, readJsonRpcCall } from '../codec/jsonrpc-reader.ts';
import { jsonFailure, jsonRefusal, jsonSuccessParts, jsonValue } from '../codec/jsonrpc-writer.ts';
import { DecodeFailure, type DecodeLimits, decodeLimits } from '../codec/limits.ts';
import { readXmlRpcCall } from '../codec/xmlrpc-reader.ts';
import { xmlFailure, xmlSuccessParts } from '../codec/xmlrpc-writer.ts';
import { BodyBroken, BodyTooLarge, type HttpAnswer, type HttpRequest } from '../drivers/http/http.ts';
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
  {
    method: 'POST',
    path: '/',
    action: 'open',
    handle: (request, answer) => serve(request, answer, dispatch, clock, 'xml'),
  },
  {
    method: 'POST',
    path: '/jsonrpc',
    action: 'open',
    handle: (request, answer) => serve(request, answer, dispatch, clock, 'json'),
  },
  { method: 'OPTIONS', path: '/', action: 'open', handle: async (request, answer) => allow(request, answer) },
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
    refuse(answer, format, error);
    return;
  }
  const { method, params, garbled } = call;
  const outcome = await dispatch(method, params, { http: request, garbled, format });
  if (outcome.kind === 'failure') {
    answer.send(200, answerHeaders[format], [failureText(format, outcome, call)]);
    return;
  }
  const [before, after] = around(format, outcome, call);
  return sendParts(answer, clock, answerHeaders[format], [before, ...outcome.parts, after]);
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

/**
 * What is not a call is answered as a call that failed, so that a client finds the reason where it looks for
 * it. Where the body was not read to its end the status says so too, as the connection ends.
 */
const refuse = (answer: HttpAnswer, format: Format, error: unknown): void => {
  const refusal = refusalOf(error);
  if (refusal === undefined) throw error;
  const { status, jsonCode, sentence } = refusal;
  const text =
    format === 'xml'
      ? xmlFailure('INTERNAL_ERROR', [sentence])
      : jsonRefusal(jsonCode, 'INTERNAL_ERROR', [sentence]);
  answer.send(status, answerHeaders[format], [text]);
};

interface Refusal {
  readonly status: number;
  /** The code that JSON-RPC itself has for it. */
  readonly jsonCode: number;
  readonly sentence: string;
}

const jsonCodes = { unreadable: -32_700, invalid: -32_600 } as const;

const refusalOf = (error: unknown): Refusal | undefined => {
  if (error instanceof DecodeFailure) {
    // Where something is said of a place in the text, it could not be read at all.
    const jsonCode = error.offset === undefined ? jsonCodes.invalid : jsonCodes.unreadable;
    return { status: 200, jsonCode, sentence: `The request is not a call. ${error.message}.` };
  }
  if (error instanceof BodyTooLarge)
    return { status: 413, jsonCode: jsonCodes.invalid, sentence: `${error.message}.` };
  if (error instanceof BodyBroken)
    return { status: 400, jsonCode: jsonCodes.unreadable, sentence: `${error.message}.` };
  return undefined;
};

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
