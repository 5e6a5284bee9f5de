import { Fault } from '../std/fault.ts';
import { isDateTime, isStruct, type Value } from '../std/value.ts';

declare const target: unique symbol;
declare const value: unique symbol;

/** A XenAPI opaque reference. It names an object, never a host, and is the actor's address. */
export type Ref<C extends string = string> = string & { readonly [target]: C };

export const nullRef = 'OpaqueRef:NULL' as Ref<never>;

/** A date as it goes over the wire, such as `20260821T02:00:23Z`. */
export type DateTime = string & { readonly dateTime: unique symbol };

export const epoch = '19700101T00:00:00Z' as DateTime;

/**
 * One wire type: how the docs spell it, what it is made of, and how a decoded value becomes a trusted one.
 */
export interface Type<T> {
  readonly kind:
    | 'string'
    | 'int'
    | 'float'
    | 'bool'
    | 'datetime'
    | 'ref'
    | 'enum'
    | 'set'
    | 'map'
    | 'record'
    | 'option'
    | 'void';
  /** As the XenAPI documents it: `VM ref`, `(string -> string) map`, `enum vm_power_state`. */
  readonly name: string;
  /** Throws a fault that names `path` when `value` is not of this type. */
  readonly read: (value: Value, path: string) => T;
  readonly empty: T;
  /** Of a set, a map and an option. */
  readonly item?: Type<unknown>;
  /** Of a map. */
  readonly key?: Type<unknown>;
  /** Of an enumeration, in the order of the XenAPI. */
  readonly values?: readonly string[];
  /** The class that a reference or a record is of. */
  readonly of?: string;
  /** Most bytes of a text, or of all that is in a set or a map; absent: the limit of its kind. */
  readonly bytesMax?: number;
  /** Most members of a set, or keys of a map; absent: the limit of its kind. */
  readonly itemsMax?: number;
  /** Values are never shown in logs, audits and names of tasks. */
  readonly secret?: true;
  /**
   * Of a text: it is meant to be read by everybody, so logs and audits show it. No other text of clients is
   * shown.
   */
  readonly shown?: true;
  readonly [value]?: T;
}

export type Infer<X> = X extends Type<infer T> ? T : never;

/** How a wrongly typed value is called in an error, as XenAPI clients know it from other servers. */
const spelled = (v: Value): string => {
  if (v === null) return 'N';
  if (typeof v === 'string') return `S(${v})`;
  if (typeof v === 'bigint') return `I(${v})`;
  if (typeof v === 'number') return `F(${v})`;
  if (typeof v === 'boolean') return `B(${v})`;
  if (v instanceof Uint8Array) return 'B64';
  if (isDateTime(v)) return `D(${v.dateTime})`;
  if (isStruct(v)) return `{${[...v].map(([k, item]) => `${k}:${spelled(item)}`).join('; ')}}`;
  return `[${(v as readonly Value[]).map(spelled).join('; ')}]`;
};

const shownMax = 200;

export const typeFault = (text: string): Fault =>
  new Fault('INTERNAL_ERROR', [
    `Failure("${text.length > shownMax ? `${text.slice(0, shownMax)}...` : text}")`,
  ]);

const expected = (what: string, v: Value): Fault => typeFault(`Expected ${what}, got '${spelled(v)}'`);

export const string: Type<string> = {
  kind: 'string',
  name: 'string',
  empty: '',
  read: (v) => {
    if (typeof v === 'string') return v;
    throw expected('string', v);
  },
};

/** The same type for a text that tells things apart, such as a name or a key: audits show it. */
export const shown = <T>(type: Type<T>): Type<T> => ({ ...type, shown: true });

/** A text by which people and programs tell things apart. */
export const label: Type<string> = shown(string);

export const bool: Type<boolean> = {
  kind: 'bool',
  name: 'bool',
  empty: false,
  read: (v) => {
    if (typeof v === 'boolean') return v;
    throw expected('bool', v);
  },
};

const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;

/** XML-RPC carries an int64 as text, JSON-RPC as a number; both arrive here and leave as a bigint. */
export const int: Type<bigint> = {
  kind: 'int',
  name: 'int',
  empty: 0n,
  read: (v) => {
    if (typeof v === 'bigint') return v;
    if (typeof v !== 'string') throw expected('int64', v);
    if (!/^-?(\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(v)) throw typeFault('Int64.of_string');
    const n = v.startsWith('-') ? -BigInt(v.slice(1)) : BigInt(v);
    if (n < int64Min || n > int64Max) throw typeFault('Int64.of_string');
    return n;
  },
};

export const float: Type<number> = {
  kind: 'float',
  name: 'float',
  empty: 0,
  read: (v) => {
    if (typeof v === 'number') return v;
    if (typeof v === 'bigint') return Number(v);
    if (typeof v !== 'string') throw expected('float', v);
    if (/^[+-]?inf(inity)?$/i.test(v)) return v.startsWith('-') ? -Infinity : Infinity;
    if (/^nan$/i.test(v)) return Number.NaN;
    if (!/^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(v)) throw typeFault('float_of_string');
    return Number(v);
  },
};

const dateForm = /^(\d{4})-?(\d\d)-?(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(Z|[+-]\d\d:\d\d|)$/;

/** A day that the month has, at a time that the day has. */
const isOnTheClock = ([year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0]: number[]): boolean =>
  month >= 1 &&
  month <= 12 &&
  day >= 1 &&
  day <= new Date(Date.UTC(year, month, 0)).getUTCDate() &&
  hour < 24 &&
  minute < 60 &&
  second < 60;

/**
 * Hyphens and the zone may be missing; without a zone it is UTC. Kept in the compact form clients expect, in
 * whole seconds.
 */
export const datetime: Type<DateTime> = {
  kind: 'datetime',
  name: 'datetime',
  empty: epoch,
  read: (v) => {
    const text = isDateTime(v) ? v.dateTime : v;
    if (typeof text !== 'string') throw expected('DateTime', v);
    const parts = dateForm.exec(text);
    if (parts === null) throw typeFault(`Date.of_iso8601: ${text}`);
    const [, year, month, day, hour, minute, second, zone] = parts;
    if (!isOnTheClock(parts.slice(1, 7).map(Number))) throw typeFault(`Date.of_iso8601: ${text}`);
    return `${year}${month}${day}T${hour}:${minute}:${second}${zone || 'Z'}` as DateTime;
  },
};

export const dateTimeOf = (nowMs: number): DateTime =>
  `${new Date(nowMs).toISOString().slice(0, 19).replaceAll('-', '')}Z` as DateTime;

/** Milliseconds since 1970 of a date that `datetime.read` gave. */
export const millisecondsOf = (date: DateTime): number => {
  const parts = dateForm.exec(date);
  if (parts === null) return 0;
  const [, year, month, day, hour, minute, second, zone] = parts;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone || 'Z'}`);
};

/** The object that a message is for. Any string is taken; one that names nothing fails where it is used. */
export const selfRef = <const C extends string>(of: C): Type<Ref<C>> => ({
  kind: 'ref',
  name: `${of} ref`,
  of,
  empty: nullRef as Ref<C>,
  read: (v) => {
    if (typeof v === 'string') return v as Ref<C>;
    throw expected('string', v);
  },
});

/** Clients that mean no object at all say so by an empty string as well: it is the null reference. */
export const ref = <const C extends string>(of: C): Type<Ref<C>> => {
  const type = selfRef(of);
  return { ...type, read: (v, path) => (v === '' ? type.empty : type.read(v, path)) };
};

/**
 * Case is ignored on the way in, as clients of older servers rely on it; `exact` is for the few
 * enumerations where it never was.
 */
export const oneOf = <const V extends string>(
  name: string,
  values: readonly V[],
  matching: 'ignoring case' | 'exact' = 'ignoring case',
): Type<V> => {
  const folded = (text: string): string => (matching === 'exact' ? text : text.toLowerCase());
  const byText = new Map(values.map((v) => [folded(v), v]));
  return {
    kind: 'enum',
    name: `enum ${name}`,
    values,
    empty: values[0] as V,
    read: (v) => {
      const found = typeof v === 'string' ? byText.get(folded(v)) : undefined;
      if (found !== undefined) return found;
      throw typeFault('Unknown tag/contents');
    },
  };
};

export const set = <T>(item: Type<T>): Type<readonly T[]> => ({
  kind: 'set',
  name: `${item.name} set`,
  item,
  empty: [],
  read: (v, path) => {
    if (Array.isArray(v)) return (v as readonly Value[]).map((one) => item.read(one, path));
    throw typeFault(`Expecting Rpc.Enum, but found '${spelled(v)}'`);
  },
});

/** Keys travel as text whatever their type. */
export const map = <K, T>(key: Type<K>, item: Type<T>): Type<ReadonlyMap<K, T>> => ({
  kind: 'map',
  name: `(${key.name} -> ${item.name}) map`,
  key,
  item,
  empty: new Map(),
  read: (v, path) => {
    if (!isStruct(v)) throw typeFault(`Expecting Rpc.Dict, but found '${spelled(v)}'`);
    return new Map([...v].map(([k, one]) => [key.read(k, path), item.read(one, path)]));
  },
});

export const stringMap = map(string, string);

/** A whole record of a class, as a constructor takes it: a struct, whose members the class reads. */
export const record = <const C extends string>(of: C): Type<ReadonlyMap<string, Value>> => ({
  kind: 'record',
  name: `${of} record`,
  of,
  empty: new Map(),
  read: (v) => {
    if (isStruct(v)) return v;
    throw typeFault('bad __structure');
  },
});

/** A member of a record that is left out where there is nothing to say. */
export const option = <T>(item: Type<T>): Type<T | undefined> => ({
  kind: 'option',
  name: `${item.name} option`,
  item,
  empty: undefined,
  read: item.read,
});

/** The same type with a limit of its own: bytes in all and, of a set or a map, entries. */
export const upTo = <T>(type: Type<T>, bytesMax: number, itemsMax = type.itemsMax): Type<T> => ({
  ...type,
  bytesMax,
  ...(itemsMax !== undefined && { itemsMax }),
});

/** The same type for a password, a key or the like: of a parameter, a result or a field. */
export const confidential = <T>(type: Type<T>): Type<T> => ({ ...type, secret: true });

/** What Xenact itself writes of whole records, and results of calls. */
export const longText = upTo(string, 2_097_152);

export const nothing: Type<void> = { kind: 'void', name: 'void', empty: undefined, read: () => undefined };
