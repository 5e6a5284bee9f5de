import { decode } from '../../mesh/decode.ts';
import { encode } from '../../mesh/encode.ts';
import { meshLimits } from '../../mesh/limits.ts';
import type { Ref } from '../../model/types.ts';
import { BatchRefused, checkChanges, checkMark, type LogMark, type RowChange } from '../../store/batch.ts';

/** What is under `gen`: the newest group, as far as it is not rows that are under keys of their own. */
export interface Newest extends Omit<LogMark, 'acknowledged'> {
  /** Generation that the group came after. */
  readonly after: number;
  /** Rows that the group wrote. */
  readonly written: number;
  readonly deleted: readonly RowChange[];
}

/** What is under `coord`. */
export interface Coordinator {
  readonly host: Ref<'host'>;
  /** Of the process: another start of the same host is not the one that leads. */
  readonly incarnation: string;
}

/** What is under `fmt`. */
export interface LogFormat {
  readonly format: number;
  /** Epochs of the pool are above this one, which it had when its log began. */
  readonly epochBase: number;
  readonly clusterId: string;
}

export const formatNumber = 1;

/** The digest of all rows at a generation. */
export interface Check {
  readonly generation: number;
  readonly digest: string;
}

/** Bytes under a key of the log that no version of Xenact wrote. */
export class NotOurs extends Error {
  constructor(what: string) {
    super(`The cluster has something under ${what} that is not of Xenact: restore it, or remove the key`);
    this.name = 'NotOurs';
  }
}

const limits = { ...meshLimits, frameBytesMax: 64 * 1_048_576 };

export const pack = (value: object): Uint8Array => encode(value, limits);

const unpack = (bytes: Uint8Array, what: string): Record<string, unknown> => {
  try {
    const value = decode(bytes, limits);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // What it is instead makes no difference.
  }
  throw new NotOurs(what);
};

const isText = (value: unknown): value is string => typeof value === 'string';
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

export const unpackNewest = (bytes: Uint8Array): Newest => {
  const value = unpack(bytes, 'gen') as unknown as Newest;
  try {
    checkMark({ ...value, acknowledged: value.generation });
    checkChanges(value.deleted);
  } catch (error) {
    if (error instanceof BatchRefused) throw new NotOurs('gen');
    throw error;
  }
  if (!isCount(value.after) || !isCount(value.written)) throw new NotOurs('gen');
  return value;
};

export const unpackRow = (bytes: Uint8Array, name: string): RowChange => {
  const value = unpack(bytes, name) as unknown as RowChange;
  try {
    checkChanges([value]);
  } catch (error) {
    if (error instanceof BatchRefused) throw new NotOurs(name);
    throw error;
  }
  if (value.row === undefined || `${value.cls}/${value.ref}` !== name) throw new NotOurs(name);
  return value;
};

export const unpackCoordinator = (bytes: Uint8Array): Coordinator => {
  const { host, incarnation } = unpack(bytes, 'coord');
  if (!isText(host) || !isText(incarnation)) throw new NotOurs('coord');
  return { host: host as Ref<'host'>, incarnation };
};

export const unpackFormat = (bytes: Uint8Array): LogFormat => {
  const { format, epochBase, clusterId } = unpack(bytes, 'fmt');
  if (!isCount(format) || !isCount(epochBase) || !isText(clusterId)) throw new NotOurs('fmt');
  return { format, epochBase, clusterId };
};

export const unpackNext = (bytes: Uint8Array): Ref<'host'> => {
  const { host } = unpack(bytes, 'next');
  if (!isText(host)) throw new NotOurs('next');
  return host as Ref<'host'>;
};

export const unpackCheck = (bytes: Uint8Array): Check => {
  const { generation, digest } = unpack(bytes, 'check');
  if (!isCount(generation) || !isText(digest)) throw new NotOurs('check');
  return { generation, digest };
};
