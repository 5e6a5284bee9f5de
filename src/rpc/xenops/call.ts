import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { NetworkFailure } from '../../drivers/network.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { struct, type Value } from '../../std/value.ts';
import { type Rpc, type RpcClientOptions, RpcRefusal } from '../rpc.ts';
import { xenopsErrorOf } from './tasks.ts';

/** One call of the xenopsd interface and the reading of its answer. Rejects with `XenopsError`. */
export type XenopsCall = <T>(
  method: string,
  debugInfo: string,
  args: Readonly<Record<string, Value | undefined>>,
  read: (value: Value) => T,
  options?: RpcClientOptions,
) => Promise<T>;

export const xenopsCall =
  (rpc: Rpc): XenopsCall =>
  async (method, debugInfo, args, read, options) => {
    try {
      return read(await rpc(method, struct({ debug_info: debugInfo, ...args }), options));
    } catch (error) {
      throw xenopsErrorFrom(method, error);
    }
  };

const xenopsErrorFrom = (method: string, error: unknown): unknown => {
  if (error instanceof RpcRefusal) return refusalOf(method, error);
  if (error instanceof NetworkFailure) return lost(`${method}: ${error.message}`);
  if (error instanceof DecodeFailure) {
    return new XenopsError('Internal_error', [`the answer to ${method} makes no sense: ${error.message}`]);
  }
  return error;
};

const refusalOf = (method: string, { error }: RpcRefusal): unknown => {
  try {
    return xenopsErrorOf(error);
  } catch (failure) {
    return xenopsErrorFrom(method, failure);
  }
};

/** The daemon is not there any more, and with it what it was doing. */
export const lost = (why: string): XenopsError => new XenopsError('Failed_to_contact_remote_service', [why]);
