import { readXmlRpcResponse } from '../../codec/xmlrpc-reader.ts';
import { xmlText } from '../../codec/xmlrpc-writer.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import type { Value } from '../../std/value.ts';
import { type Finished, type Processes, ProcessFailure } from '../processes.ts';
import { type StorageCall, StorageError } from './storage.ts';

// SMAPIv1 on its lowest level: a driver is an executable that is run once for each call. The call is its one
// argument, an XML-RPC call of one struct; what it prints is the answer, and its exit code is 0 also when it
// refuses.

/** A driver's call. Members stand in the order of the type, and one that is absent is not sent. */
export interface SmCall {
  readonly host_ref: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly device_config: ReadonlyMap<string, string>;
  readonly session_ref?: string;
  readonly sr_sm_config?: ReadonlyMap<string, string>;
  readonly sr_ref?: string;
  readonly vdi_type?: string;
  readonly sr_uuid?: string;
  readonly vdi_ref?: string;
  readonly vdi_location?: string;
  readonly vdi_uuid?: string;
  readonly driver_params?: ReadonlyMap<string, string>;
  readonly vdi_sm_config?: ReadonlyMap<string, string>;
  readonly new_uuid?: string;
  readonly subtask_of?: string;
  readonly vdi_on_boot?: string;
  readonly vdi_allow_caching?: string;
  readonly local_cache_sr?: string;
}

const members = [
  'host_ref',
  'command',
  'args',
  'device_config',
  'session_ref',
  'sr_sm_config',
  'sr_ref',
  'vdi_type',
  'sr_uuid',
  'vdi_ref',
  'vdi_location',
  'vdi_uuid',
  'driver_params',
  'vdi_sm_config',
  'new_uuid',
  'subtask_of',
  'vdi_on_boot',
  'vdi_allow_caching',
  'local_cache_sr',
] as const satisfies readonly (keyof SmCall)[];

/** What drivers find in their environment, and nothing else. */
const environment = { PATH: '/sbin:/usr/sbin:/bin:/usr/bin', ORIGINATOR: 'SM' } as const;

/** What Linux takes as one argument of a program, without its final zero. */
export const argumentBytesMax = 128 * 1024 - 1;

export interface SmLimits {
  /** After this long a driver and its children are killed. */
  readonly runMsMax: number;
  readonly outputBytesMax: number;
}

/** Formatting a disk or copying one takes its time; a driver of shared storage waits for locks. */
export const smLimits: SmLimits = { runMsMax: 60 * 60_000, outputBytesMax: 16 * 1024 * 1024 };

/** The call as its driver gets it. */
export const smArgument = (call: SmCall): string => {
  const list = members.flatMap((name) => {
    const value = call[name];
    return value === undefined ? [] : [member(name, value)];
  });
  const struct = `<value><struct>${list.join('')}</struct></value>`;
  const name = `<methodName>${xmlText(call.command)}</methodName>`;
  return `<methodCall>${name}<params><param>${struct}</param></params></methodCall>`;
};

const member = (name: string, value: string | readonly string[] | ReadonlyMap<string, string>): string =>
  `<member><name>${xmlText(name)}</name>${written(value)}</member>`;

const written = (value: string | readonly string[] | ReadonlyMap<string, string>): string => {
  if (typeof value === 'string') return value === '' ? '<value/>' : `<value>${xmlText(value)}</value>`;
  if (value instanceof Map) {
    const pairs = [...(value as ReadonlyMap<string, string>)].map(([key, text]) => member(key, text));
    return `<value><struct>${pairs.join('')}</struct></value>`;
  }
  const items = (value as readonly string[]).map(written);
  return `<value><array><data>${items.join('')}</data></array></value>`;
};

/** What a refusal of a driver is about, as the XenAPI names it. */
type Subject = Pick<SmCall, 'sr_ref' | 'vdi_ref'>;

/** Runs a driver for one call and answers what it printed. Throws a StorageError for everything else. */
export const runDriver = async (
  { processes, limits }: { readonly processes: Processes; readonly limits: SmLimits },
  path: string,
  request: SmCall,
  call: StorageCall,
): Promise<Value> => {
  const argument = smArgument(request);
  if (Buffer.byteLength(argument) > argumentBytesMax) {
    const why = `The call has more than ${argumentBytesMax} bytes: shorten device_config, sm_config or names`;
    throw new StorageError('SR_BACKEND_FAILURE', [why, '', '']);
  }
  const finished = await processes
    .run(path, [argument], {
      env: environment,
      timeoutMs: limits.runMsMax,
      outputMax: limits.outputBytesMax,
      ...(call.signal && { signal: call.signal }),
    })
    .catch((error: unknown) => {
      call.signal?.throwIfAborted();
      if (error instanceof ProcessFailure) throw failed(error.message);
      throw error;
    });
  return answerOf(finished, request);
};

const textMax = 4_096;

const failed = (reason: string, { stdout, stderr }: Partial<Finished> = {}): StorageError =>
  new StorageError('SR_BACKEND_FAILURE', [
    reason,
    (stdout ?? '').slice(0, textMax),
    (stderr ?? '').slice(-textMax),
  ]);

/** The value that a driver printed, or its refusal. */
export const answerOf = (finished: Finished, about: Subject): Value => {
  const { code, signal, stderr } = finished;
  if (code !== 0) {
    const ended = signal === null ? `It ended with exit code ${code}` : `It was ended by ${signal}`;
    throw failed(ended, finished);
  }
  const response = parsed(finished);
  if (response.kind === 'bare' || response.kind === 'success') return response.value;
  if (response.kind === 'failure') throw failed('It answered a failure without a fault', finished);
  throw refusal(Number(response.code), response.message, stderr, about);
};

const parsed = (finished: Finished): ReturnType<typeof readXmlRpcResponse> => {
  try {
    return readXmlRpcResponse(finished.stdout);
  } catch (error) {
    if (!(error instanceof DecodeFailure)) throw error;
    throw failed(`Its answer is not XML-RPC: ${error.message}`, finished);
  }
};

const notImplemented = 38;

/** Codes of drivers that have a fault of their own in the XenAPI; all others are told by their number. */
const refusal = (code: number, message: string, stderr: string, about: Subject): StorageError => {
  const { sr_ref: sr = '', vdi_ref: vdi = '' } = about;
  const known = new Map<number, readonly [fault: string, params: readonly string[]]>([
    [16, ['SR_DEVICE_IN_USE', []]],
    [24, ['VDI_IN_USE', []]],
    [notImplemented, ['SR_OPERATION_NOT_SUPPORTED', [sr]]],
    [39, ['SR_NOT_EMPTY', []]],
    [144, ['VDI_MISSING', [sr, vdi]]],
  ]);
  const [fault, params] = known.get(code) ?? [
    `SR_BACKEND_FAILURE_${code}`,
    ['', message, stderr.slice(-textMax)],
  ];
  return new StorageError(fault, params);
};
