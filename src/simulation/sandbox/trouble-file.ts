import type { Catalog } from '../../objects/catalog.ts';
import { jsonOf } from '../../std/reader.ts';

/** What goes wrong in a simulated pool, as a file says it. */
export interface Trouble {
  readonly rules: readonly Rule[];
  readonly hosts: readonly Outage[];
}

/** Calls of a method fail, or take longer. */
export interface Rule {
  readonly method: string;
  /** Name of the host that does the call; absent: any. */
  readonly host?: string;
  /** Code and parameters; absent: the call is only delayed. */
  readonly error?: readonly string[];
  readonly probability: number;
  /** So many calls go well before. */
  readonly after: number;
  /** So many calls are troubled at most. */
  readonly times: number;
  readonly delayMs: number;
}

/** A host has no power for a time, counted in seconds from the start of the simulation. */
export interface Outage {
  readonly host: string;
  readonly downAtS: number;
  readonly upAtS?: number;
}

/** A file that cannot be obeyed; the message tells what to write instead. */
export class TroubleUnusable extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TroubleUnusable';
  }
}

export const rulesMax = 1_000;
export const outagesMax = 1_000;
export const delayMsMax = 24 * 3_600_000;

export interface Known {
  readonly catalog: Catalog;
  readonly hosts: readonly string[];
  /** The host that cannot be without power, as it serves the clients. */
  readonly coordinator: string;
}

/** Throws `TroubleUnusable`. */
export const readTrouble = (text: string, known: Known): Trouble => {
  let value: unknown;
  try {
    value = jsonOf(text);
  } catch (error) {
    throw new TroubleUnusable(`this is not JSON: ${(error as Error).message}`);
  }
  const file = objectOf(value, 'the file', ['rules', 'hosts']);
  return {
    rules: listOf(file['rules'], 'rules', rulesMax).map((rule, i) => ruleOf(rule, `rules[${i}]`, known)),
    hosts: listOf(file['hosts'], 'hosts', outagesMax).map((one, i) => outageOf(one, `hosts[${i}]`, known)),
  };
};

const ruleKeys = ['method', 'host', 'error', 'probability', 'after', 'times', 'delayMs'];

const ruleOf = (value: unknown, where: string, known: Known): Rule => {
  const rule = objectOf(value, where, ruleKeys);
  const { method, host, error } = rule;
  const message = typeof method === 'string' ? known.catalog.find(method) : undefined;
  if (message === undefined) throw wrong(`${where}.method`, 'the name of a call, such as "VM.start"', method);
  if (known.catalog.handler(message) === undefined) {
    throw new TroubleUnusable(
      `${where}.method: ${message.method} only reads or sets a field, and cannot be troubled`,
    );
  }
  if (error === undefined && rule['delayMs'] === undefined) {
    throw new TroubleUnusable(`${where} needs "error" or "delayMs", else it does nothing`);
  }
  return {
    method: message.method,
    ...(host === undefined ? {} : { host: hostOf(host, `${where}.host`, known) }),
    ...(error === undefined ? {} : { error: errorOf(error, `${where}.error`) }),
    probability: numberOf(rule['probability'], `${where}.probability`, 1, 1),
    after: countOf(rule['after'], `${where}.after`, 0),
    times: countOf(rule['times'], `${where}.times`, Number.MAX_SAFE_INTEGER),
    delayMs: numberOf(rule['delayMs'], `${where}.delayMs`, 0, delayMsMax),
  };
};

const outageOf = (value: unknown, where: string, known: Known): Outage => {
  const outage = objectOf(value, where, ['host', 'downAtS', 'upAtS']);
  const host = hostOf(outage['host'], `${where}.host`, known);
  if (host === known.coordinator) {
    throw new TroubleUnusable(
      `${where}.host: ${host} is the coordinator, which serves the clients and stays up`,
    );
  }
  if (outage['downAtS'] === undefined) throw wrong(`${where}.downAtS`, 'seconds from the start', undefined);
  const downAtS = numberOf(outage['downAtS'], `${where}.downAtS`, 0, delayMsMax / 1000);
  if (outage['upAtS'] === undefined) return { host, downAtS };
  const upAtS = numberOf(outage['upAtS'], `${where}.upAtS`, 0, delayMsMax / 1000);
  if (upAtS <= downAtS) throw new TroubleUnusable(`${where}.upAtS must be after downAtS`);
  return { host, downAtS, upAtS };
};

const wrong = (where: string, wanted: string, got: unknown): TroubleUnusable =>
  new TroubleUnusable(`${where} must be ${wanted}, not ${JSON.stringify(got)?.slice(0, 100)}`);

const objectOf = (
  value: unknown,
  where: string,
  keys: readonly string[],
): Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(where, 'an object', value);
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) {
    throw new TroubleUnusable(`${where} has the unknown key "${unknown}"; there are ${keys.join(', ')}`);
  }
  return value as Readonly<Record<string, unknown>>;
};

const listOf = (value: unknown, where: string, lengthMax: number): readonly unknown[] => {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw wrong(where, 'a list', value);
  if (value.length > lengthMax) throw new TroubleUnusable(`${where} has more than ${lengthMax} entries`);
  return value;
};

const hostOf = (value: unknown, where: string, { hosts }: Known): string => {
  if (typeof value === 'string' && hosts.includes(value)) return value;
  throw wrong(where, `a host of this pool, ${hosts[0]} to ${hosts.at(-1)}`, value);
};

const errorOf = (value: unknown, where: string): readonly string[] => {
  const fits = Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string');
  if (!fits)
    throw wrong(where, 'a code and its parameters, such as ["SR_BACKEND_FAILURE_46", "", "gone"]', value);
  return value;
};

const numberOf = (value: unknown, where: string, fallback: number, most: number): number => {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && value >= 0 && value <= most) return value;
  throw wrong(where, `a number from 0 to ${most}`, value);
};

const countOf = (value: unknown, where: string, fallback: number): number => {
  if (value === undefined) return fallback;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw wrong(where, 'a whole number from 0', value);
};
