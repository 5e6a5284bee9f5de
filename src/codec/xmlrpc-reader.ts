import { DecodeFailure, shown } from '../std/decode-failure.ts';
import { floatOf, int64Of } from '../std/numbers.ts';
import { isStruct, type Struct, type Value } from '../std/value.ts';
import { type DecodeLimits, decodeLimits } from './limits.ts';
import { type PausingRead, pieceUnits, readAtOnce } from './reading.ts';
import { count, dataOf, isLayout, isPieceRead, next, type XmlCursor, xmlCursor } from './xml-scanner.ts';

export interface XmlRpcCall {
  readonly method: string;
  readonly params: readonly Value[];
}

/**
 * What a server answered. `success` and `failure` are the XenAPI's envelope, a struct with Status;
 * `bare` is any other value, as storage plugins answer; `fault` is XML-RPC's own.
 */
export type XmlRpcResponse =
  | { readonly kind: 'success'; readonly value: Value }
  /** The ErrorDescription: code and parameters of the XenAPI (`errorOf`), or an rpclib variant. */
  | { readonly kind: 'failure'; readonly error: Value }
  | { readonly kind: 'fault'; readonly code: bigint; readonly message: string }
  | { readonly kind: 'bare'; readonly value: Value };

/** Throws a `DecodeFailure` when `text` is not an XML-RPC call. */
export const readXmlRpcCall = (text: string, limits: DecodeLimits = decodeLimits): XmlRpcCall =>
  readAtOnce(readingXmlRpcCall(text, limits));

/** Throws a `DecodeFailure` when `text` is not an XML-RPC response. */
export const readXmlRpcResponse = (text: string, limits: DecodeLimits = decodeLimits): XmlRpcResponse =>
  readAtOnce(readingResponse(text, limits));

/** One `<value>` element alone, as task results are kept. */
export const readXmlRpcValue = (text: string, limits: DecodeLimits = decodeLimits): Value =>
  readAtOnce(readingXmlRpcValue(text, limits));

/** As `readXmlRpcCall`, with pauses. */
export const readingXmlRpcCall = function* (text: string, limits: DecodeLimits): PausingRead<XmlRpcCall> {
  const c = yield* xmlCursor(text, limits);
  enter(c, 'methodCall');
  expectTag(c, 'methodName');
  const method = yield* leaf(c, 'methodName');
  const params = yield* readParams(c);
  leave(c, 'methodCall');
  finish(c);
  return { method, params };
};

const readingResponse = function* (text: string, limits: DecodeLimits): PausingRead<XmlRpcResponse> {
  const c = yield* xmlCursor(text, limits);
  enter(c, 'methodResponse');
  const at = c.at;
  nextTag(c);
  const isFault = c.name === 'fault' && c.form === 'open';
  const response = isFault ? yield* readFault(c) : responseOf(yield* paramsHere(c), at);
  leave(c, 'methodResponse');
  finish(c);
  return response;
};

/** The same, with pauses. */
export const readingXmlRpcValue = function* (text: string, limits: DecodeLimits): PausingRead<Value> {
  const c = yield* xmlCursor(text, limits);
  expectTag(c, 'value');
  const value = yield* readValue(c, 0);
  finish(c);
  return value;
};

const responseOf = (params: readonly Value[], at: number): XmlRpcResponse => {
  const value = params[0];
  if (value === undefined || params.length > 1) {
    throw new DecodeFailure(`Expected one value in the response, got ${params.length}`, at);
  }
  if (isStruct(value)) {
    const status = value.get('Status');
    const result = value.get('Value');
    const error = value.get('ErrorDescription');
    if (status === 'Success' && result !== undefined) return { kind: 'success', value: result };
    if (status === 'Failure' && error !== undefined) return { kind: 'failure', error };
  }
  return { kind: 'bare', value };
};

const readFault = function* (c: XmlCursor): PausingRead<XmlRpcResponse> {
  expectTag(c, 'value');
  const at = c.at;
  const fault = yield* readValue(c, 0);
  leave(c, 'fault');
  const given = isStruct(fault) ? fault.get('faultCode') : undefined;
  const code = typeof given === 'string' ? int64Of(given) : given;
  const message = isStruct(fault) ? fault.get('faultString') : undefined;
  if (typeof code !== 'bigint' || typeof message !== 'string') {
    throw new DecodeFailure('Expected a struct of faultCode and faultString', at);
  }
  return { kind: 'fault', code, message };
};

const readParams = function* (c: XmlCursor): PausingRead<readonly Value[]> {
  nextTag(c);
  return yield* paramsHere(c);
};

/** With the cursor on what should be `<params>`. */
const paramsHere = function* (c: XmlCursor): PausingRead<readonly Value[]> {
  const params: Value[] = [];
  if (!isOpened(c, 'params')) return params;
  while (another(c, 'params', 'param')) {
    if (isEmpty(c)) throw new DecodeFailure('Expected <value> in <param>', c.tagAt);
    expectTag(c, 'value');
    params.push(yield* readValue(c, 0));
    leave(c, 'param');
  }
  return params;
};

/**
 * With the cursor on `<value>` or `<value/>`. White space beside a type tag is layout, else it is the string.
 */
const readValue = function* (c: XmlCursor, depth: number): PausingRead<Value> {
  count(c);
  if (isPieceRead(c)) yield;
  if (isEmpty(c)) return '';
  next(c);
  if (c.form === 'close') {
    if (c.name !== 'value') throw mismatch(c, '</value>');
    return yield* dataOf(c);
  }
  noData(c);
  const value = yield* readTyped(c, depth);
  leave(c, 'value');
  return value;
};

const readTyped = function* (c: XmlCursor, depth: number): PausingRead<Value> {
  const { name, tagAt } = c;
  switch (name) {
    case 'string':
      return yield* leaf(c, name);
    case 'struct':
      return yield* readStruct(c, depth + 1);
    case 'array':
      return yield* readArray(c, depth + 1);
    case 'i4':
    case 'int':
    case 'i8':
      return parsed(int64Of, yield* leaf(c, name), 'an int64', tagAt);
    case 'boolean':
      // Only "1" is true: "true" is false, as clients of other XenAPI servers know it.
      return (yield* leaf(c, name)) === '1';
    case 'double':
      return parsed(floatOf, yield* leaf(c, name), 'a number', tagAt);
    case 'dateTime.iso8601':
      return { dateTime: yield* leaf(c, name) };
    case 'base64':
      return yield* readBytes(c, name);
    case 'nil':
      if ((yield* leaf(c, name)) === '') return null;
      throw new DecodeFailure('Expected nothing in <nil>', tagAt);
    default:
      throw mismatch(c, 'a type of XML-RPC');
  }
};

const parsed = <T>(parse: (text: string) => T | undefined, text: string, what: string, at: number): T => {
  const value = parse(text);
  if (value === undefined) throw new DecodeFailure(`Expected ${what}, got ${shown(text)}`, at);
  return value;
};

const readBytes = function* (c: XmlCursor, name: string): PausingRead<Uint8Array> {
  const { tagAt } = c;
  const text = yield* leaf(c, name);
  const bytes = yield* bytesOf(text);
  return parsed(() => bytes, text, 'base64', tagAt);
};

const base64Form = /^[A-Za-z0-9+/]*={0,2}$/;

/** Lines may be broken anywhere, as MIME encoders do; the padding must be there. */
const bytesOf = function* (text: string): PausingRead<Uint8Array | undefined> {
  const parts: Buffer[] = [];
  let packed = '';
  let isPadded = false;
  for (let from = 0; from < text.length; from += pieceUnits) {
    if (from > 0) yield;
    const more = text.slice(from, from + pieceUnits).replace(/[ \t\r\n]/g, '');
    if (more === '') continue;
    if (isPadded) return undefined;
    packed += more;
    if (!base64Form.test(packed)) return undefined;
    const whole = packed.length - (packed.length % 4);
    const bytes = packed.slice(0, whole);
    isPadded = bytes.endsWith('=');
    parts.push(Buffer.from(bytes, 'base64'));
    packed = packed.slice(whole);
  }
  return packed === '' ? new Uint8Array(Buffer.concat(parts)) : undefined;
};

const readArray = function* (c: XmlCursor, depth: number): PausingRead<readonly Value[]> {
  notDeeper(c, depth);
  const items: Value[] = [];
  if (isEmpty(c) || !another(c, 'array', 'data')) return items;
  if (!isEmpty(c)) {
    while (another(c, 'data', 'value')) items.push(yield* readValue(c, depth));
  }
  leave(c, 'array');
  return items;
};

/** A member that is there twice: the last one counts, as in JSON and in most XML-RPC libraries. */
const readStruct = function* (c: XmlCursor, depth: number): PausingRead<Struct> {
  notDeeper(c, depth);
  const members = new Map<string, Value>();
  if (isEmpty(c)) return members;
  while (another(c, 'struct', 'member')) {
    if (isEmpty(c)) throw new DecodeFailure('Expected <name> in <member>', c.tagAt);
    expectTag(c, 'name');
    const name = yield* leaf(c, 'name');
    expectTag(c, 'value');
    members.set(name, yield* readValue(c, depth));
    leave(c, 'member');
  }
  return members;
};

const notDeeper = (c: XmlCursor, depth: number): void => {
  if (depth > c.limits.depthMax) {
    throw new DecodeFailure(
      `Expected at most ${c.limits.depthMax} sets and structs inside one another`,
      c.tagAt,
    );
  }
};

const mismatch = (c: XmlCursor, expected: string): DecodeFailure => {
  const slash = c.form === 'close' ? '/' : '';
  const got = c.form === 'end' ? 'the end of the text' : `<${slash}${c.name.slice(0, 40)}>`;
  return new DecodeFailure(`Expected ${expected}, got ${got}`, c.tagAt);
};

/** Between tags there may be white space and nothing else. */
const noData = (c: XmlCursor): void => {
  if (!isLayout(c)) throw new DecodeFailure('Expected no text before this tag', c.tagAt);
};

const nextTag = (c: XmlCursor): void => {
  next(c);
  noData(c);
};

const isEmpty = (c: XmlCursor): boolean => c.form === 'empty';

/** On `<name>` true, on `<name/>` false, on anything else a failure. */
const isOpened = (c: XmlCursor, name: string): boolean => {
  if (c.name !== name || c.form === 'close') throw mismatch(c, `<${name}>`);
  return c.form === 'open';
};

const expectTag = (c: XmlCursor, name: string): void => {
  nextTag(c);
  isOpened(c, name);
};

const enter = (c: XmlCursor, name: string): void => {
  nextTag(c);
  if (!isOpened(c, name)) throw new DecodeFailure(`Expected something in <${name}>`, c.tagAt);
};

const leave = (c: XmlCursor, name: string): void => {
  nextTag(c);
  if (c.form !== 'close' || c.name !== name) throw mismatch(c, `</${name}>`);
};

/** True on the next `<item>` of `<list>`, false on `</list>`. */
const another = (c: XmlCursor, list: string, item: string): boolean => {
  nextTag(c);
  if (c.form === 'close' && c.name === list) return false;
  if (c.form === 'close' || c.name !== item) throw mismatch(c, `<${item}> or </${list}>`);
  return true;
};

/** The character data of an element that holds nothing else. */
const leaf = function* (c: XmlCursor, name: string): PausingRead<string> {
  if (isEmpty(c)) return '';
  next(c);
  if (c.form !== 'close' || c.name !== name) throw mismatch(c, `</${name}>`);
  return yield* dataOf(c);
};

const finish = (c: XmlCursor): void => {
  nextTag(c);
  if (c.form !== 'end') throw mismatch(c, 'the end of the text');
};
