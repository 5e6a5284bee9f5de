import { DecodeFailure } from '../std/decode-failure.ts';
import { isStruct, type Struct, type Value } from '../std/value.ts';
import { readingJson, readJson } from './json-reader.ts';
import { type DecodeLimits, decodeLimits } from './limits.ts';
import { type PausingRead, readAtOnce } from './reading.ts';

export { readJson } from './json-reader.ts';

export interface JsonRpcCall {
  readonly version: 1 | 2;
  readonly id: bigint | string;
  readonly method: string;
  /** Named arguments of version 2 are one struct, not parameters by name. */
  readonly params: readonly Value[];
}

export type JsonRpcResponse =
  | { readonly kind: 'success'; readonly id: bigint | string | null; readonly value: Value }
  /** Code and parameters of the XenAPI (`errorOf`), or an rpclib variant; the same for both versions. */
  | { readonly kind: 'failure'; readonly id: bigint | string | null; readonly error: Value };

/** Throws a `DecodeFailure` when `text` is not a single JSON-RPC call that wants an answer. */
export const readJsonRpcCall = (text: string, limits: DecodeLimits = decodeLimits): JsonRpcCall =>
  readAtOnce(readingJsonRpcCall(text, limits));

/** As `readJsonRpcCall`, with pauses. */
export const readingJsonRpcCall = function* (text: string, limits: DecodeLimits): PausingRead<JsonRpcCall> {
  const body = objectIn(yield* readingJson(text, limits), 'call');
  const version = versionOf(body);
  const method = body.get('method');
  if (typeof method !== 'string') throw new DecodeFailure('Expected "method" to be a string');
  const id = body.get('id');
  if (typeof id !== 'bigint' && typeof id !== 'string') {
    throw new DecodeFailure('Expected "id" to be an integer or a string');
  }
  return { version, id, method, params: paramsOf(version, body.get('params')) };
};

const paramsOf = (version: 1 | 2, params: Value | undefined): readonly Value[] => {
  if (Array.isArray(params)) return params as readonly Value[];
  if (version === 1) throw new DecodeFailure('Expected "params" to be an array');
  if (params === undefined || params === null) return [];
  if (isStruct(params)) return [params];
  throw new DecodeFailure('Expected "params" to be an array or an object');
};

/** Throws a `DecodeFailure` when `text` is not an answer of either version. */
export const readJsonRpcResponse = (text: string, limits: DecodeLimits = decodeLimits): JsonRpcResponse => {
  const body = objectIn(readJson(text, limits), 'response');
  const version = versionOf(body);
  const id = body.get('id');
  if (typeof id !== 'bigint' && typeof id !== 'string' && id !== null) {
    throw new DecodeFailure('Expected "id" to be an integer, a string or null');
  }
  const result = body.get('result');
  const error = body.get('error');
  if (version === 1 && (result === undefined || error === undefined)) {
    throw new DecodeFailure('Expected both "result" and "error"');
  }
  if (error !== undefined && error !== null) {
    return { kind: 'failure', id, error: version === 2 ? listedError(error) : error };
  }
  if (result === undefined) throw new DecodeFailure('Expected "result" or "error"');
  return { kind: 'success', id, value: result };
};

/** Version 2 splits what version 1 has as one list; some servers send the list all the same. */
const listedError = (error: Value): Value => {
  const message = isStruct(error) ? error.get('message') : undefined;
  if (!isStruct(error) || message === undefined) return error;
  const data = error.get('data');
  if (data === undefined || data === null) return [message];
  return [message, ...(Array.isArray(data) ? (data as readonly Value[]) : [data])];
};

const objectIn = (body: Value, what: string): Struct => {
  if (isStruct(body)) return body;
  throw new DecodeFailure(`Expected the ${what} to be one object`);
};

const versionOf = (body: Struct): 1 | 2 => {
  const version = body.get('jsonrpc');
  if (version === undefined) return 1;
  if (version === '2.0') return 2;
  throw new DecodeFailure('Expected "jsonrpc" to be "2.0" or absent');
};
