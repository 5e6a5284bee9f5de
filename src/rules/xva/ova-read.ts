import { type PausingRead, readInPieces } from '../../codec/reading.ts';
import { readingXmlRpcValue } from '../../codec/xmlrpc-reader.ts';
import type { ClassName, Fields, RecordNamed } from '../../model/class.ts';
import { nullRef, type Type } from '../../model/types.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { Fault } from '../../std/fault.ts';
import { listOf, member, optionalMember, stringOf, structOf } from '../../std/reader.ts';
import { isDateTime, type Struct, type Value } from '../../std/value.ts';
import type { FieldsOf } from './ova.ts';
import { type XvaClass, xvaClasses } from './reached.ts';

/** A record of a file. What the file does not say is not there, and references are ids of the file. */
export interface ReadObject<C extends XvaClass = XvaClass> {
  readonly cls: C;
  readonly id: string;
  readonly record: Partial<RecordNamed<C>>;
  /** As it stands there. */
  readonly said: Struct;
}

export interface ReadOva {
  /** How sums are in the file: behind each block from 2 on, and in a table at its end before that. */
  readonly exportVersion: bigint;
  of<C extends XvaClass>(cls: C): readonly ReadObject<C>[];
  /** Undefined where no object of the class has the id: writers use such ids for null references. */
  get<C extends XvaClass>(cls: C, id: string | undefined): ReadObject<C> | undefined;
}

/** Objects of one file: of some ten thousand VMs. */
export const OBJECTS_MAX = 200_000;
const LIMITS = { depthMax: 16, itemsMax: 20_000_000, textMax: 128 * 1024 * 1024 } as const;

/** Reads `ova.xml`. Throws `DecodeFailure`. Objects of classes that no file of ours has are passed over. */
export const readOva = async (
  text: string,
  fieldsOf: FieldsOf,
  rest: () => Promise<void>,
): Promise<ReadOva> => {
  const reading: PausingRead<Value> = readingXmlRpcValue(text, LIMITS);
  return ovaOf(await readInPieces(reading, rest), fieldsOf);
};

export const ovaOf = (whole: Value, fieldsOf: FieldsOf): ReadOva => {
  const version = structOf(member(whole, 'version'), 'the version');
  const said = listOf(member(whole, 'objects'), 'the objects');
  if (said.length > OBJECTS_MAX) throw new DecodeFailure(`Expected at most ${OBJECTS_MAX} objects`);
  const objects = new Map<XvaClass, Map<string, ReadObject>>(xvaClasses.map((cls) => [cls, new Map()]));
  for (const one of said) {
    const cls = xvaClasses.find((name) => name === member(one, 'class'));
    if (cls === undefined) continue;
    const id = stringOf(member(one, 'id'), 'an id');
    const record = structOf(member(one, 'snapshot'), `the ${cls} ${id}`);
    objects.get(cls)?.set(id, readObject(cls, id, record, fieldsOf(cls)));
  }
  return {
    exportVersion: exportVersionOf(version),
    of: (cls) => [...(objects.get(cls)?.values() ?? [])] as never,
    get: (cls, id) => objects.get(cls)?.get(id ?? nullRef) as never,
  };
};

const exportVersionOf = (version: Struct): bigint => {
  const given = optionalMember(version, 'export_vsn');
  return given === undefined ? 0n : intOf(given);
};

const intOf = (value: Value): bigint => {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return BigInt(value);
  throw new DecodeFailure('Expected export_vsn to be a number');
};

const readObject = (cls: XvaClass, id: string, said: Struct, fields: Fields): ReadObject => {
  const record = Object.entries(fields).flatMap(([name, { type, internal }]) => {
    const value = internal === true ? undefined : said.get(name);
    return value === undefined ? [] : [[name, readField(type, value, `${cls} ${id}: ${name}`)]];
  });
  return { cls, id, said, record: Object.fromEntries(record) as Partial<RecordNamed<ClassName>> as never };
};

/** Words of enumerations are taken in any case, as other writers have them. */
const readField = (type: Type<unknown>, value: Value, what: string): unknown => {
  const given = type.kind === 'enum' && typeof value === 'string' ? wordOf(type, value) : value;
  // A key that is empty names nothing, and here none can be.
  if (given instanceof Map) (given as Map<string, Value>).delete('');
  try {
    return type.read(isDateTime(given) && type.kind !== 'datetime' ? given.dateTime : given, what);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new DecodeFailure(`${what} cannot be read: ${error.params.join(', ')}`);
  }
};

const wordOf = ({ values = [] }: Type<unknown>, word: string): string =>
  values.find((one) => one.toLowerCase() === word.toLowerCase()) ?? word;
