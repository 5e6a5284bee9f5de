import type { AnyClass, Fields } from '../model/class.ts';
import type { Type } from '../model/types.ts';
import { int64Text } from '../std/numbers.ts';
import type { Struct } from '../std/value.ts';
import { jsonFloat, jsonString, jsonValue } from './jsonrpc-writer.ts';
import { xmlDateTime, xmlFloat, xmlText, xmlValue } from './xmlrpc-writer.ts';

/** How values of one type are written. */
export interface Encoder<T> {
  /** A whole `<value>` element. */
  xml(value: T): string;
  json(value: T): string;
}

type Row = Readonly<Record<string, unknown>>;

/** The encoder of a type, made once for each type object. */
export type EncoderOf = <T>(type: Type<T>) => Encoder<T>;

/**
 * Encoders where records of these classes may be part of a value. Rows are written as their class declares
 * them.
 */
export const encodersOf = (classes: readonly Pick<AnyClass, 'name' | 'fields'>[]): EncoderOf => {
  const encoders = new WeakMap<Type<any>, Encoder<any>>();
  const fieldsOf = new Map(classes.map(({ name, fields }) => [name, fields]));
  const encoderOf: EncoderOf = (type) => {
    const known = encoders.get(type);
    if (known !== undefined) return known;
    const made = encoderFor(type, encoderOf, fieldsOf);
    encoders.set(type, made);
    return made;
  };
  return encoderOf;
};

const text: Encoder<string> = { xml: (value) => `<value>${xmlText(value)}</value>`, json: jsonString };
const scalars: Readonly<Record<string, Encoder<any>>> = {
  string: text,
  ref: text,
  enum: text,
  int: { xml: (value: bigint) => `<value>${int64Text(value)}</value>`, json: int64Text },
  float: { xml: (value: number) => `<value><double>${xmlFloat(value)}</double></value>`, json: jsonFloat },
  bool: {
    xml: (value: boolean) =>
      value ? '<value><boolean>1</boolean></value>' : '<value><boolean>0</boolean></value>',
    json: String,
  },
  datetime: { xml: xmlDateTime, json: jsonString },
  void: { xml: () => '<value></value>', json: () => '""' },
};

const encoderFor = (
  type: Type<any>,
  encoderOf: EncoderOf,
  fieldsOf: ReadonlyMap<string, Fields>,
): Encoder<any> => {
  if (type.kind === 'set' && type.item !== undefined) return setEncoder(encoderOf(type.item));
  if (type.kind === 'map' && type.item !== undefined) return mapEncoder(encoderOf(type.item));
  if (type.kind === 'option' && type.item !== undefined) return encoderOf(type.item);
  if (type.kind === 'record') return wholeEncoder(type, encoderOf, fieldsOf);
  const scalar = scalars[type.kind];
  if (scalar === undefined) throw new Error(`The type ${type.name} does not say what it is made of`);
  return scalar;
};

/**
 * A record that a driver put together is a struct of values already; every other one is a row of its class.
 */
const wholeEncoder = (
  { of = '' }: Type<any>,
  encoderOf: EncoderOf,
  fieldsOf: ReadonlyMap<string, Fields>,
): Encoder<Struct | Row> => {
  let made: Encoder<Row> | undefined;
  const row = (): Encoder<Row> => {
    const fields = fieldsOf.get(of);
    if (fields === undefined) throw new Error(`There is no class ${of} to encode a record of`);
    // Only now, as records may hold records.
    made ??= recordEncoder(fields, encoderOf);
    return made;
  };
  return {
    xml: (value) => (value instanceof Map ? xmlValue(value) : row().xml(value as Row)),
    json: (value) => (value instanceof Map ? jsonValue(value) : row().json(value as Row)),
  };
};

const setEncoder = <T>(item: Encoder<T>): Encoder<readonly T[]> => ({
  xml: (values) => {
    let items = '';
    for (const value of values) items += item.xml(value);
    return `<value><array><data>${items}</data></array></value>`;
  },
  json: (values) => {
    let items = '';
    for (const value of values) items += (items === '' ? '' : ',') + item.json(value);
    return `[${items}]`;
  },
});

/** Keys travel as text whatever their type. */
const mapEncoder = <T>(item: Encoder<T>): Encoder<ReadonlyMap<unknown, T>> => ({
  xml: (values) => {
    let members = '';
    for (const [key, value] of values) {
      members += `<member><name>${xmlText(String(key))}</name>${item.xml(value)}</member>`;
    }
    return `<value><struct>${members}</struct></value>`;
  },
  json: (values) => {
    let members = '';
    for (const [key, value] of values) {
      members += `${members === '' ? '' : ','}${jsonString(String(key))}:${item.json(value)}`;
    }
    return `{${members}}`;
  },
});

/**
 * How whole records of a class are written: the fields that are on the wire, in the order they are
 * declared. Lists of ten thousand records pass here, so what is the same in each is made once.
 */
export const recordEncoder = (fields: Fields, encoderOf: EncoderOf): Encoder<Row> =>
  Object.values(fields).some((field) => field.type.kind === 'option')
    ? sparseEncoder(fields, encoderOf)
    : denseEncoder(fields, encoderOf);

/** For the few classes whose records leave out what is undefined. */
const sparseEncoder = (fields: Fields, encoderOf: EncoderOf): Encoder<Row> => {
  const present = (record: Row) =>
    denseEncoder(
      Object.fromEntries(Object.entries(fields).filter(([name]) => record[name] !== undefined)),
      encoderOf,
    );
  return {
    xml: (record) => present(record).xml(record),
    json: (record) => present(record).json(record),
  };
};

const denseEncoder = (fields: Fields, encoderOf: EncoderOf): Encoder<Row> => {
  const members = Object.entries(fields)
    .filter(([, field]) => field.internal !== true)
    .map(([name, field], index) => ({
      name,
      encoder: encoderOf(field.type) as Encoder<unknown>,
      xmlBefore: `<member><name>${xmlText(name)}</name>`,
      jsonBefore: `${index === 0 ? '' : ','}${jsonString(name)}:`,
    }));
  return {
    xml: (record) => {
      let out = '<value><struct>';
      for (const { name, encoder, xmlBefore } of members) {
        out += `${xmlBefore + encoder.xml(record[name])}</member>`;
      }
      return `${out}</struct></value>`;
    },
    json: (record) => {
      let out = '{';
      for (const { name, encoder, jsonBefore } of members) out += jsonBefore + encoder.json(record[name]);
      return `${out}}`;
    },
  };
};
