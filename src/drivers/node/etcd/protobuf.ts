import protobuf from 'protobufjs/minimal.js';
import { own } from '../../../std/own.ts';

// Of a module in the old form Node knows one name only.
const { Reader, Writer } = protobuf;
type Reader = protobuf.Reader;
type Writer = protobuf.Writer;

/**
 * Messages of protocol buffers (version 3) as tables of their fields. Integers are numbers and must be exact;
 * `id` is an integer of 64 bits as it is. What is not in a table is skipped.
 */
type Scalar = 'int' | 'id' | 'bool' | 'bytes' | 'text';
interface Field {
  readonly number: number;
  readonly type: Scalar | ProtobufMessage;
  readonly many: boolean;
}
export interface ProtobufMessage {
  readonly [name: string]: Field;
}

type Plain<T> = T extends 'int'
  ? number
  : T extends 'id'
    ? bigint
    : T extends 'bool'
      ? boolean
      : T extends 'bytes'
        ? Uint8Array
        : T extends 'text'
          ? string
          : T extends ProtobufMessage
            ? Decoded<T>
            : never;
type PlainField<F> = F extends { type: infer T; many: true }
  ? readonly Plain<T>[]
  : F extends { type: infer T }
    ? T extends Scalar
      ? Plain<T>
      : Plain<T> | undefined
    : never;
/** Fields that were not sent have their zero; messages are undefined then. */
export type Decoded<M extends ProtobufMessage> = { readonly [K in keyof M]: PlainField<M[K]> };

type Given<T> = T extends Scalar ? Plain<T> : T extends ProtobufMessage ? Encodable<T> : never;
type GivenField<F> = F extends { type: infer T; many: true }
  ? readonly Given<T>[]
  : F extends { type: infer T }
    ? Given<T>
    : never;
/** What is absent or zero is not sent, except messages. */
export type Encodable<M extends ProtobufMessage> = { readonly [K in keyof M]?: GivenField<M[K]> | undefined };

export const one = <const T extends Scalar | ProtobufMessage>(number: number, type: T) =>
  ({ number, type, many: false }) as const;
export const many = <const T extends Scalar | ProtobufMessage>(number: number, type: T) =>
  ({ number, type, many: true }) as const;

const DEPTH_MAX = 16;

/** Bytes that are no message, or hold a number that is not exact. */
export class NotProtobuf extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotProtobuf';
  }
}

export const encode = <M extends ProtobufMessage>(message: M, value: Encodable<M>): Buffer => {
  const writer = Writer.create();
  writeMessage(writer, message, value);
  // On Node the library's writer makes buffers.
  return writer.finish() as Buffer;
};

const isZero = (value: unknown): boolean =>
  value === 0 || value === 0n || value === false || value === '' || (value as Uint8Array).length === 0;

/** The values of a field that are sent. */
const sent = ({ type, many: list }: Field, value: unknown): readonly unknown[] => {
  if (value === undefined) return [];
  if (list) return value as readonly unknown[];
  return typeof type === 'string' && isZero(value) ? [] : [value];
};

const wireTypeOf = (type: Field['type']): number =>
  type === 'int' || type === 'id' || type === 'bool' ? VARINT : BYTES;
const VARINT = 0;
const BYTES = 2;
const GROUP = 3;

const writeMessage = (writer: Writer, message: ProtobufMessage, value: Encodable<ProtobufMessage>): void => {
  for (const name in message) {
    const field = message[name] as Field;
    const { type } = field;
    for (const item of sent(field, own(value, name))) {
      writer.uint32((field.number << 3) | wireTypeOf(type));
      if (typeof type === 'string') write[type](writer, item as never);
      else {
        writer.fork();
        writeMessage(writer, type, item as Encodable<ProtobufMessage>);
        writer.ldelim();
      }
    }
  }
};

const write = {
  int: (writer: Writer, value: number): void => {
    if (!Number.isSafeInteger(value)) throw new NotProtobuf(`${value} is no exact integer`);
    writer.int64(value);
  },
  id: (writer: Writer, value: bigint): void => {
    const low = Number(BigInt.asIntN(32, value));
    const high = Number(BigInt.asIntN(32, value >> 32n));
    writer.int64({ low, high, unsigned: false } as never);
  },
  bool: (writer: Writer, value: boolean): void => void writer.bool(value),
  bytes: (writer: Writer, value: Uint8Array): void => void writer.bytes(value),
  text: (writer: Writer, value: string): void => void writer.string(value),
};

/** Bytes of the result are parts of the input. Throws `NotProtobuf`. */
export const decode = <M extends ProtobufMessage>(message: M, bytes: Uint8Array): Decoded<M> => {
  const reader = Reader.create(bytes);
  try {
    return readMessage(reader, reader.len, message, 0) as Decoded<M>;
  } catch (error) {
    throw error instanceof NotProtobuf ? error : new NotProtobuf((error as Error).message);
  }
};

const zeros: Record<Scalar, unknown> = { int: 0, id: 0n, bool: false, bytes: new Uint8Array(0), text: '' };

const numbered = new WeakMap<ProtobufMessage, ReadonlyMap<number, readonly [string, Field]>>();
const byNumber = (message: ProtobufMessage): ReadonlyMap<number, readonly [string, Field]> => {
  const known = numbered.get(message);
  if (known !== undefined) return known;
  const made = new Map(
    Object.entries(message).map(([name, field]) => [field.number, [name, field] as const]),
  );
  numbered.set(message, made);
  return made;
};

const empty = (message: ProtobufMessage): Record<string, unknown> => {
  const value: Record<string, unknown> = {};
  for (const name in message) {
    const { type, many: list } = message[name] as Field;
    value[name] = list ? [] : typeof type === 'string' ? zeros[type] : undefined;
  }
  return value;
};

const readMessage = (
  reader: Reader,
  end: number,
  message: ProtobufMessage,
  depth: number,
): Record<string, unknown> => {
  if (depth > DEPTH_MAX) throw new NotProtobuf('Messages within messages are too deep');
  const fields = byNumber(message);
  const value = empty(message);
  while (reader.pos < end) {
    const tag = reader.uint32();
    const known = fields.get(tag >>> 3);
    if (known === undefined) skip(reader, tag & 7);
    else {
      const [name, field] = known;
      if ((tag & 7) !== wireTypeOf(field.type)) {
        throw new NotProtobuf(`${name} came as wire type ${tag & 7}`);
      }
      const item = readField(reader, end, field.type, depth);
      if (field.many) (value[name] as unknown[]).push(item);
      else value[name] = item;
    }
    if (reader.pos > end) throw new NotProtobuf('A message ends within a field');
  }
  return value;
};

const skip = (reader: Reader, wireType: number): void => {
  if (wireType === GROUP) throw new NotProtobuf('Groups are of an older protocol');
  reader.skipType(wireType);
};

const readField = (reader: Reader, end: number, type: Field['type'], depth: number): unknown => {
  if (typeof type === 'string') return read[type](reader);
  const length = reader.uint32();
  if (length > end - reader.pos) throw new NotProtobuf('A message ends within a field');
  return readMessage(reader, reader.pos + length, type, depth + 1);
};

const idOf = (reader: Reader): bigint => {
  const whole = reader.int64() as number | { readonly low: number; readonly high: number };
  return typeof whole === 'number' ? BigInt(whole) : (BigInt(whole.high) << 32n) | BigInt(whole.low >>> 0);
};

const read: Record<Scalar, (reader: Reader) => unknown> = {
  int: (reader) => {
    const whole = idOf(reader);
    const plain = Number(whole);
    if (!Number.isSafeInteger(plain)) throw new NotProtobuf(`${whole} is too large for an exact number`);
    return plain;
  },
  id: (reader) => BigInt.asUintN(64, idOf(reader)),
  bool: (reader) => reader.bool(),
  bytes: (reader) => reader.bytes(),
  text: (reader) => reader.string(),
};
