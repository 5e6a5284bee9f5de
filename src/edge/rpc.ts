import { isAscii, isUtf8 } from 'node:buffer';
import { type JsonRpcCall, readingJsonRpcCall } from '../codec/jsonrpc-reader.ts';
import { jsonFailure, jsonRefusal, jsonSuccessParts, jsonValue } from '../codec/jsonrpc-writer.ts';
import { type DecodeLimits, decodeLimits } from '../codec/limits.ts';
import { type PausingRead, readAtOnce, readInPieces } from '../codec/reading.ts';
import { readingXmlRpcCall } from '../codec/xmlrpc-reader.ts';
import { xmlFailure, xmlSuccessParts } from '../codec/xmlrpc-writer.ts';
import type { HttpAnswer, HttpRequest } from '../drivers/http/http.ts';
import { type Clock, sleep } from '../std/clock.ts';
import { DecodeFailure } from '../std/decode-failure.ts';
import { inTurns } from '../std/in-turns.ts';
import type { Value } from '../std/value.ts';
import { type Bodies, bodyStatus, rpcBodyBytesMax, strangerBodyBytesMax } from './bodies.ts';
import type { Dispatch, Outcome } from './dispatch.ts';
import type { Format } from './encoding.ts';
import { sendParts } from './long-answer.ts';
import type { RequestRoute } from './route.ts';

/** Values in one call, those inside others counted too: many small ones are what takes long to read. */
export const callValuesMax = 100_000;
const rpcLimits: DecodeLimits = { ...decodeLimits, textMax: rpcBodyBytesMax, itemsMax: callValuesMax };
/** Larger calls are read one after the other in pieces, and between two pieces all others have their turn. */
const largeBytes = strangerBodyBytesMax;

const uncached = { 'Cache-Control': 'no-cache, no-store' };
const contentTypes = {
  xml: { 'Content-Type': 'text/xml', ...uncached },
  json: { 'Content-Type': 'application/json', ...uncached },
} as const;

/** A script reads answers from where it may call: the edge has let its page in. */
const forPage = (origin: string): Readonly<Record<string, string>> => ({
  'Access-Control-Allow-Origin': origin,
  'Access-Control-Allow-Headers': 'X-Requested-With',
  Vary: 'Origin',
});

/** The same object for nearly every call, as programs send no `Origin`. */
const answerHeaders = (format: Format, origin: string | undefined): Readonly<Record<string, string>> =>
  origin === undefined ? contentTypes[format] : { ...contentTypes[format], ...forPage(origin) };

export interface RpcOptions {
  readonly dispatch: Dispatch;
  readonly clock: Clock;
  readonly bodies: Bodies;
}

/** XML-RPC answers any POST that nobody else does, JSON-RPC has a path of its own. */
export const rpcRoutes = (options: RpcOptions): readonly RequestRoute[] => {
  const serving = { ...options, inTurn: inTurns() };
  const calls = (path: string, format: Format): RequestRoute => ({
    method: 'POST',
    path,
    action: 'open',
    handle: (request, answer) => serve(request, answer, serving, format),
  });
  return [
    calls('/', 'xml'),
    calls('/jsonrpc', 'json'),
    {
      method: 'OPTIONS',
      path: '/',
      action: 'open',
      handle: async (request, answer) => allow(request, answer),
    },
  ];
};

/** A browser asks before its script may call from another site. */
const allow = ({ headers }: HttpRequest, answer: HttpAnswer): void => {
  const { origin, 'access-control-request-headers': asked } = headers;
  answer.send(
    200,
    {
      ...uncached,
      ...(origin !== undefined && forPage(origin)),
      'Access-Control-Allow-Headers': asked === undefined ? 'X-Requested-With' : `${asked}, X-Requested-With`,
      'Access-Control-Allow-Methods': 'POST, PUT',
    },
    [],
  );
};

interface Serving extends RpcOptions {
  readonly inTurn: <T>(run: () => Promise<T>) => Promise<T>;
}

const serve = async (
  request: HttpRequest,
  answer: HttpAnswer,
  { bodies, dispatch, clock, inTurn }: Serving,
  format: Format,
): Promise<void> => {
  const headers = answerHeaders(format, request.headers['origin']);
  try {
    await bodies.hold(request, async (body) => {
      const reading = readingCall(body, format);
      const isLarge = body.length > largeBytes;
      const call = isLarge
        ? await inTurn(() => readInPieces(reading, () => sleep(clock, 0)))
        : readAtOnce(reading);
      const { method, params, garbled } = call;
      const outcome = await dispatch(method, params, { http: request, garbled, format });
      if (outcome.kind === 'failure') {
        answer.send(200, headers, [failureText(format, outcome, call)]);
        return;
      }
      const [before, after] = around(format, outcome, call);
      return sendParts(answer, clock, headers, [before, ...outcome.parts, after]);
    });
  } catch (error) {
    refuse(answer, format, headers, error);
  }
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

const readingCall = function* (bytes: Buffer, format: Format): PausingRead<ReadCall> {
  const plain = isAscii(bytes);
  const text = plain ? bytes.toString('latin1') : utf8.decode(bytes);
  const garbled = !plain && !isUtf8(bytes);
  if (format === 'json') {
    const { method, params, version, id } = yield* readingJsonRpcCall(text, rpcLimits);
    return { method, params, garbled, version, id };
  }
  const { method, params } = yield* readingXmlRpcCall(text, rpcLimits);
  return { method, params, garbled, version: 2, id: 0n };
};

/**
 * What is not a call is answered as a call that failed, so that a client finds the reason where it looks for
 * it. Where the body was not read to its end the status says so too, as the connection ends.
 */
const refuse = (
  answer: HttpAnswer,
  format: Format,
  headers: Readonly<Record<string, string>>,
  error: unknown,
): void => {
  const refusal = answer.begun() ? undefined : refusalOf(error);
  if (refusal === undefined) throw error;
  const { status, jsonCode, sentence } = refusal;
  const text =
    format === 'xml'
      ? xmlFailure('INTERNAL_ERROR', [sentence])
      : jsonRefusal(jsonCode, 'INTERNAL_ERROR', [sentence]);
  answer.send(status, headers, [text]);
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
  const status = bodyStatus(error);
  if (status === undefined) return undefined;
  return { status, jsonCode: jsonCodes.invalid, sentence: `${(error as Error).message}.` };
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
