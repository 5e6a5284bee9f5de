import { errorOf } from '../codec/rpclib.ts';
import { readXmlRpcResponse, readXmlRpcValue } from '../codec/xmlrpc-reader.ts';
import { xmlCall } from '../codec/xmlrpc-writer.ts';
import {
  OtherPoolFailure,
  type PoolAnswer,
  type PoolPlace,
  type PoolRequest,
} from '../drivers/other-pools.ts';
import type { Services } from '../objects/services.ts';
import { DecodeFailure } from '../std/decode-failure.ts';
import { Fault } from '../std/fault.ts';
import { listOf, member, stringOf } from '../std/reader.ts';
import type { Value } from '../std/value.ts';
import { parseServiceUrl } from './service-url.ts';

// A pool that is not this one, spoken to as any client would.

/** As `host.migrate_receive` answers it. */
export type Destination = ReadonlyMap<string, string>;

/** What that answer has for pools like this one: the SHA-256 of the certificate that its `master` shows. */
export const fingerprintKey = 'xenact:fingerprint';

export interface OtherPool {
  /** Where it is, for people. */
  readonly address: string;
  /** The host there. */
  readonly host: string;
  readonly session: string;
  /** A call of the XenAPI; the session is put first. Throws the fault that it answers. */
  call(method: string, ...params: readonly Value[]): Promise<Value>;
  send(request: Pick<PoolRequest, 'method' | 'path' | 'contentType' | 'body'>): Promise<PoolAnswer>;
}

const callIdleMs = 60_000;
/** What arrives is written to disks there before it is answered. */
const sendIdleMs = 600_000;

const httpsPort = 443;

/** Throws INVALID_VALUE where something is missing in what `host.migrate_receive` is to have answered. */
export const destinationOf = (
  dest: Destination,
): PoolPlace & { readonly host: string; readonly session: string } => {
  const said = (key: string): string => {
    const value = dest.get(key) ?? '';
    if (value !== '') return value;
    throw new Fault('INVALID_VALUE', [
      'dest',
      `It lacks ${key}: give what host.migrate_receive answered there`,
    ]);
  };
  const url = parseServiceUrl(said('master'));
  if (url === undefined || url.scheme === 'file')
    throw new Fault('INVALID_VALUE', ['dest', `${said('master')} is no address of a pool`]);
  const name = url.host.includes(':') ? `[${url.host}]` : url.host;
  const fingerprint = dest.get(fingerprintKey);
  return {
    // Whatever it says, nothing is sent in the clear.
    authority: url.port === undefined ? name : `${name}:${url.port}`,
    ...{ host: said('host'), session: said('session_id') },
    ...(fingerprint !== undefined && { fingerprint }),
  };
};

/** Throws what `destinationOf` throws. */
export const otherPool = (
  { otherPools }: Pick<Services, 'otherPools'>,
  dest: Destination,
  signal?: AbortSignal,
): OtherPool => {
  const to = destinationOf(dest);
  const { authority, host, session } = to;
  const sent = async (request: Omit<PoolRequest, 'signal'>): Promise<PoolAnswer> => {
    if (otherPools === undefined) throw new Fault('CANNOT_CONTACT_HOST', [authority]);
    try {
      return await otherPools.send(to, { ...request, ...(signal !== undefined && { signal }) });
    } catch (error) {
      throw error instanceof OtherPoolFailure ? (failureOf(error, authority) ?? error) : error;
    }
  };
  return {
    ...{ address: authority, host, session },
    call: async (method, ...params) => {
      const body = Buffer.from(xmlCall(method, [session, ...params]));
      const at = { method: 'POST', path: '/', contentType: 'text/xml' } as const;
      return answered(await sent({ ...at, body, idleMs: callIdleMs }), authority);
    },
    send: (request) => sent({ ...request, idleMs: sendIdleMs }),
  };
};

const failureOf = ({ reason }: OtherPoolFailure, authority: string): Fault | undefined => {
  if (reason === 'lost') return undefined;
  if (reason === 'unreached') return new Fault('CANNOT_CONTACT_HOST', [authority]);
  const [, name = authority, port = `${httpsPort}`] = /^(.*?)(?::(\d+))?$/.exec(authority) ?? [];
  return new Fault('TLS_CONNECTION_FAILED', [name, port]);
};

const answered = ({ body }: PoolAnswer, authority: string): Value => {
  const answer = responseOf(Buffer.from(body).toString('utf8'));
  if (answer?.kind === 'success') return answer.value;
  if (answer?.kind !== 'failure') throw new Fault('CANNOT_CONTACT_HOST', [authority]);
  const { code, params } = errorOf(answer.error);
  throw new Fault(code as never, params);
};

const responseOf = (text: string): ReturnType<typeof readXmlRpcResponse> | undefined => {
  try {
    return readXmlRpcResponse(text);
  } catch (error) {
    if (error instanceof DecodeFailure) return undefined;
    throw error;
  }
};

/** How a task there ended: with references, or a fault. Undefined: it has not. */
export const taskEnd = async (
  pool: Pick<OtherPool, 'call'>,
  task: string,
): Promise<readonly string[] | Fault | undefined> => {
  const record = await pool.call('task.get_record', task);
  const status = stringOf(member(record, 'status'));
  if (status === 'pending' || status === 'cancelling') return undefined;
  if (status === 'success')
    return listOf(readXmlRpcValue(stringOf(member(record, 'result')))).map((one) => stringOf(one));
  if (status === 'cancelled') return new Fault('TASK_CANCELLED', [task]);
  const [code = 'INTERNAL_ERROR', ...params] = listOf(member(record, 'error_info')).map((one) =>
    stringOf(one),
  );
  return new Fault(code as never, params);
};
