import { readXmlRpcResponse } from '../codec/xmlrpc-reader.ts';
import { xmlCall } from '../codec/xmlrpc-writer.ts';
import { type Endpoint, type Network, NetworkFailure } from '../drivers/network.ts';
import { DecodeFailure } from '../std/decode-failure.ts';
import type { Struct, Value } from '../std/value.ts';
import { type CallStreamOptions, callStream } from './call-stream.ts';

/**
 * One call of a daemon's interface, its named arguments in one struct. Rejects with `RpcRefusal` when the
 * daemon refused and with `NetworkFailure` when it cannot be reached or does not make sense.
 */
export type Rpc = (method: string, args: Struct, options?: RpcClientOptions) => Promise<Value>;

export interface RpcClientOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The daemon's refusal, an error variant of its interface. */
export class RpcRefusal extends Error {
  readonly error: Value;

  constructor(method: string, error: Value) {
    const shown = JSON.stringify(error, (_, each) => (typeof each === 'bigint' ? `${each}` : each));
    super(`${method} was refused: ${shown}`);
    this.name = 'RpcRefusal';
    this.error = error;
  }
}

const TIMEOUT_MS = 60_000;
const RESPONSE_MAX = 64 * 1024 * 1024;

/** XML-RPC posted to a daemon's socket, as daemons take it that are not behind a message switch. */
export const xmlRpc =
  (network: Network, endpoint: Endpoint, path = '/'): Rpc =>
  async (method, args, { timeoutMs = TIMEOUT_MS, signal } = {}) => {
    const { status, body } = await network.post(endpoint, path, xmlCall(method, [args]), {
      contentType: 'text/xml',
      timeoutMs,
      responseMax: RESPONSE_MAX,
      ...(signal === undefined ? {} : { signal }),
    });
    if (status !== 200)
      throw new NetworkFailure('closed', `${method} was answered with HTTP status ${status}`);
    return answered(method, body);
  };

/** The same over one stream for all calls, and posted where the daemon has no such stream. */
export const xmlRpcStream = (
  options: CallStreamOptions & { readonly network: Network },
): { readonly rpc: Rpc; close(): void } => {
  const stream = callStream(options, RESPONSE_MAX);
  const posted = xmlRpc(options.network, options.endpoint);
  /** Until a call fails, which is when another daemon may have come. */
  let hasNone = false;
  const rpc: Rpc = async (method, args, { timeoutMs = TIMEOUT_MS, signal } = {}) => {
    if (!hasNone) {
      try {
        const by = { timeoutMs, ...(signal !== undefined && { signal }) };
        return answered(method, await stream.ask(xmlCall(method, [args]), by));
      } catch (error) {
        if (!(error instanceof NetworkFailure && error.reason === 'refused')) throw error;
      }
    }
    try {
      const value = await posted(method, args, { timeoutMs, ...(signal !== undefined && { signal }) });
      hasNone = true;
      return value;
    } catch (error) {
      hasNone = !(error instanceof NetworkFailure);
      throw error;
    }
  };
  return { rpc, close: stream.close };
};

const answered = (method: string, body: string): Value => {
  const response = readResponse(method, body);
  switch (response.kind) {
    case 'success':
      return response.value;
    case 'failure':
      throw new RpcRefusal(method, response.error);
    case 'fault':
      throw new RpcRefusal(method, ['Internal_error', response.message]);
    case 'bare':
      throw new NetworkFailure('closed', `${method} was answered without a Status`);
  }
};

const readResponse = (method: string, body: string): ReturnType<typeof readXmlRpcResponse> => {
  try {
    return readXmlRpcResponse(body);
  } catch (error) {
    if (!(error instanceof DecodeFailure)) throw error;
    throw new NetworkFailure('closed', `${method} was answered with what is not XML-RPC: ${error.message}`);
  }
};
