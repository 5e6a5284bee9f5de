/**
 * A decoded wire value, the same whatever the encoding was (XML-RPC, JSON-RPC, rpclib).
 * int64 is a bigint and float is a number, so the two never mix; a struct is a Map, so that no key
 * (`__proto__` among them) means anything to JavaScript.
 */
export type Value =
  | string
  | bigint
  | number
  | boolean
  | null
  | DateTimeValue
  | Uint8Array
  | readonly Value[]
  | Struct;

export type Struct = ReadonlyMap<string, Value>;

/** A date on the wire, kept as it was written. XML-RPC alone has a tag for it; in JSON it is a string. */
export interface DateTimeValue {
  readonly dateTime: string;
}

export const isStruct = (value: Value | undefined): value is Struct => value instanceof Map;

export const isDateTime = (value: Value | undefined): value is DateTimeValue =>
  typeof value === 'object' && value !== null && 'dateTime' in value;

/** A struct from an object literal whose keys are written in the code. Undefined members are left out. */
export const struct = (members: Readonly<Record<string, Value | undefined>>): Struct =>
  new Map(Object.entries(members).filter((entry): entry is [string, Value] => entry[1] !== undefined));
