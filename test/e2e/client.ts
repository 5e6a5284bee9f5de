import { readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import type { Value } from '../../src/std/value.ts';
import { password } from './xenact.ts';

/** A session over XML-RPC with keep-alive, for tests that are about the server and not about a client. */
export interface Session {
  readonly ref: string;
  call(method: string, ...params: readonly Value[]): Promise<Value>;
}

export class Failure extends Error {
  readonly code: string;
  readonly params: readonly string[];

  constructor([code = '', ...params]: readonly string[]) {
    super(`${code}(${params.join(', ')})`);
    this.name = 'Failure';
    this.code = code;
    this.params = params;
  }
}

const large = { depthMax: 64, itemsMax: 10_000_000, textMax: 1 << 29 };

export const call = async (http: string, method: string, params: readonly Value[]): Promise<Value> => {
  const answer = await fetch(http, { method: 'POST', body: xmlCall(method, params) });
  const response = readXmlRpcResponse(await answer.text(), large);
  if (response.kind === 'failure') throw new Failure(response.error as readonly string[]);
  if (response.kind === 'success' || response.kind === 'bare') return response.value;
  throw new Error(response.message);
};

export const logIn = async (http: string): Promise<Session> => {
  const ref = (await call(http, 'session.login_with_password', ['root', password])) as string;
  return { ref, call: (method, ...params) => call(http, method, [ref, ...params]) };
};
