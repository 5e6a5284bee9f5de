/**
 * Protocol buffers (version 3), as far as etcd speaks them: a message is a table of its fields. Integers are
 * numbers and must be exact; `id` is an integer of 64 bits as it is. What is not in a table is skipped.
 */
type Scalar = 'int' | 'id' | 'bool' | 'bytes' | 'text';
interface Field {
  readonly number: number;
  readonly type: Scalar | Message;
  readonly many: boolean;
}
export interface Message {
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
          : T extends Message
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
export type Decoded<M extends Message> = { readonly [K in keyof M]: PlainField<M[K]> };

type Given<T> = T extends Scalar ? Plain<T> : T extends Message ? Encodable<T> : never;
type GivenField<F> = F extends { type: infer T; many: true }
  ? readonly Given<T>[]
  : F extends { type: infer T }
    ? Given<T>
    : never;
/** What is absent or zero is not sent, except messages. */
export type Encodable<M extends Message> = { readonly [K in keyof M]?: GivenField<M[K]> | undefined };

export const one = <const T extends Scalar | Message>(number: number, type: T) =>
  ({ number, type, many: false }) as const;
export const many = <const T extends Scalar | Message>(number: number, type: T) =>
  ({ number, type, many: true }) as const;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const DEPTH_MAX = 16;

/** Bytes that are no message, or hold a number that is not exact. */
export class NotProtobuf extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotProtobuf';
  }
}

export const encode = <M extends Message>(message: M, value: Encodable<M>): Buffer => {
  const buffer = Buffer.allocUnsafe(sizeOf(message, value));
  writeMessage({ buffer, at: 0 }, message, value);
  return buffer;
};

interface Output {
  readonly buffer: Buffer;
  at: number;
}

const isZero = (value: unknown): boolean =>
  value === 0 || value === 0n || value === false || value === '' || (value as Uint8Array).length === 0;

/** The values of a field that are sent. */
const sent = ({ type, many: list }: Field, value: unknown): readonly unknown[] => {
  if (value === undefined) return [];
  if (list) return value as readonly unknown[];
  return typeof type === 'string' && isZero(value) ? [] : [value];
};

const bits = (value: number | bigint): bigint => {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new NotProtobuf(`${value} is no exact integer`);
  }
  return BigInt.asUintN(64, BigInt(value));
};

/** Of a number that can be counted with; others go by way of 64 bits. */
const isPlain = (value: number | bigint): value is number =>
  typeof value === 'number' && value >= 0 && Number.isSafeInteger(value);

const varintSize = (value: number | bigint): number => {
  if (isPlain(value)) {
    let size = 1;
    for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1;
    return size;
  }
  let size = 1;
  for (let rest = bits(value); rest >= 128n; rest >>= 7n) size += 1;
  return size;
};

const scalarSize = (type: Scalar, value: unknown): number => {
  if (type === 'bool') return 1;
  if (type === 'int' || type === 'id') return varintSize(value as number | bigint);
  const length = type === 'text' ? Buffer.byteLength(value as string) : (value as Uint8Array).length;
  return varintSize(length) + length;
};

const sizeOf = (message: Message, value: Encodable<Message>): number => {
  let size = 0;
  for (const name in message) {
    const field = message[name] as Field;
    for (const item of sent(field, value[name])) {
      size += varintSize(field.number << 3);
      if (typeof field.type === 'string') size += scalarSize(field.type, item);
      else {
        const length = sizeOf(field.type, item as Encodable<Message>);
        size += varintSize(length) + length;
      }
    }
  }
  return size;
};

const writeVarint = (out: Output, value: number | bigint): void => {
  if (isPlain(value)) {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) out.buffer[out.at++] = (rest % 128) | 128;
    out.buffer[out.at++] = rest;
    return;
  }
  let rest = bits(value);
  for (; rest >= 128n; rest >>= 7n) out.buffer[out.at++] = Number(rest & 127n) | 128;
  out.buffer[out.at++] = Number(rest);
};

const writeScalar = (out: Output, type: Scalar, value: unknown): void => {
  if (type === 'bool') writeVarint(out, 1);
  else if (type === 'int' || type === 'id') writeVarint(out, value as number | bigint);
  else {
    const bytes = type === 'text' ? Buffer.from(value as string) : (value as Uint8Array);
    writeVarint(out, bytes.length);
    out.buffer.set(bytes, out.at);
    out.at += bytes.length;
  }
};

const writeMessage = (out: Output, message: Message, value: Encodable<Message>): void => {
  for (const name in message) {
    const field = message[name] as Field;
    const { type } = field;
    const scalarType = type === 'int' || type === 'id' || type === 'bool' ? VARINT : BYTES;
    for (const item of sent(field, value[name])) {
      writeVarint(out, (field.number << 3) | scalarType);
      if (typeof type === 'string') writeScalar(out, type, item);
      else {
        writeVarint(out, sizeOf(type, item as Encodable<Message>));
        writeMessage(out, type, item as Encodable<Message>);
      }
    }
  }
};

interface Input {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
}

/** Bytes of the result are parts of the input. Throws `NotProtobuf`. */
export const decode = <M extends Message>(message: M, bytes: Uint8Array): Decoded<M> =>
  readMessage({ bytes, at: 0, end: bytes.length }, message, 0) as Decoded<M>;

const zeros: Record<Scalar, unknown> = { int: 0, id: 0n, bool: false, bytes: new Uint8Array(0), text: '' };

const numbered = new WeakMap<Message, ReadonlyMap<number, readonly [string, Field]>>();
const byNumber = (message: Message): ReadonlyMap<number, readonly [string, Field]> => {
  const known = numbered.get(message);
  if (known !== undefined) return known;
  const made = new Map(
    Object.entries(message).map(([name, field]) => [field.number, [name, field] as const]),
  );
  numbered.set(message, made);
  return made;
};

const empty = (message: Message): Record<string, unknown> => {
  const value: Record<string, unknown> = {};
  for (const name in message) {
    const { type, many: list } = message[name] as Field;
    value[name] = list ? [] : typeof type === 'string' ? zeros[type] : undefined;
  }
  return value;
};

const readMessage = (input: Input, message: Message, depth: number): Record<string, unknown> => {
  if (depth > DEPTH_MAX) throw new NotProtobuf('Messages within messages are too deep');
  const fields = byNumber(message);
  const value = empty(message);
  while (input.at < input.end) {
    const tag = Number(readVarint(input));
    const known = fields.get(Math.floor(tag / 8));
    if (known === undefined) {
      skip(input, tag & 7);
      continue;
    }
    const [name, field] = known;
    const item = readField(input, field, tag & 7, depth);
    if (field.many) (value[name] as unknown[]).push(item);
    else value[name] = item;
  }
  return value;
};

const readField = (input: Input, { type }: Field, wire: number, depth: number): unknown => {
  if (type === 'int' || type === 'id' || type === 'bool') {
    if (wire !== VARINT) throw new NotProtobuf(`A field of type ${type} came as wire type ${wire}`);
    const read = readVarint(input);
    if (type === 'bool') return read !== 0 && read !== 0n;
    return type === 'id' ? BigInt(read) : exact(read);
  }
  if (wire !== BYTES) throw new NotProtobuf(`A field with a length came as wire type ${wire}`);
  const part = readBytes(input);
  if (type === 'bytes') return part;
  if (type === 'text') return Buffer.from(part).toString('utf8');
  return readMessage({ bytes: part, at: 0, end: part.length }, type, depth + 1);
};

/** Of 64 bits with a sign. */
const exact = (read: number | bigint): number => {
  if (typeof read === 'number') return read;
  const signed = Number(BigInt.asIntN(64, read));
  if (!Number.isSafeInteger(signed)) throw new NotProtobuf(`${read} is too large for an exact number`);
  return signed;
};

const readVarint = (input: Input): number | bigint => {
  let low = 0;
  let factor = 1;
  for (let count = 0; count < 7; count += 1) {
    const byte = readByte(input);
    low += (byte & 127) * factor;
    if (byte < 128) return low;
    factor *= 128;
  }
  let whole = BigInt(low);
  for (let shift = 49n; shift < 70n; shift += 7n) {
    const byte = readByte(input);
    whole |= BigInt(byte & 127) << shift;
    if (byte < 128) return BigInt.asUintN(64, whole);
  }
  throw new NotProtobuf('A number is longer than 64 bits');
};

const readByte = (input: Input): number => {
  if (input.at >= input.end) throw new NotProtobuf('A message ends within a field');
  const byte = input.bytes[input.at] as number;
  input.at += 1;
  return byte;
};

const readBytes = (input: Input): Uint8Array => {
  const length = Number(readVarint(input));
  if (length > input.end - input.at) throw new NotProtobuf('A message ends within a field');
  const part = input.bytes.subarray(input.at, input.at + length);
  input.at += length;
  return part;
};

const skip = (input: Input, wire: number): void => {
  if (wire === VARINT) readVarint(input);
  else if (wire === BYTES) readBytes(input);
  else if (wire === FIXED64 || wire === FIXED32) {
    for (let count = wire === FIXED64 ? 8 : 4; count > 0; count -= 1) readByte(input);
  } else throw new NotProtobuf(`Wire type ${wire} is not known`);
};
