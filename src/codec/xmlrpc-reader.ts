import { isStruct, type Struct, type Value } from '../std/value.ts';
import { DecodeFailure, type DecodeLimits, decodeLimits, shown } from './limits.ts';
import { floatOf, int64Of } from './numbers.ts';
import { isBlank, next, type XmlCursor, xmlCursor } from './xml-scanner.ts';

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
export const readXmlRpcCall = (text: string, limits: DecodeLimits = decodeLimits): XmlRpcCall => {
  const c = xmlCursor(text, limits);
  enter(c, 'methodCall');
  expectTag(c, 'methodName');
  const method = leaf(c, 'methodName');
  const params = readParams(c);
  leave(c, 'methodCall');
  finish(c);
  return { method, params };
};

/** Throws a `DecodeFailure` when `text` is not an XML-RPC response. */
export const readXmlRpcResponse = (text: string, limits: DecodeLimits = decodeLimits): XmlRpcResponse => {
  const c = xmlCursor(text, limits);
  enter(c, 'methodResponse');
  const at = c.at;
  nextTag(c);
  const response = c.name === 'fault' && c.form === 'open' ? readFault(c) : responseOf(paramsHere(c), at);
  leave(c, 'methodResponse');
  finish(c);
  return response;
};

/** One `<value>` element alone, as task results are kept. */
export const readXmlRpcValue = (text: string, limits: DecodeLimits = decodeLimits): Value => {
  const c = xmlCursor(text, limits);
  expectTag(c, 'value');
  const value = readValue(c, 0);
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

const readFault = (c: XmlCursor): XmlRpcResponse => {
  expectTag(c, 'value');
  const at = c.at;
  const fault = readValue(c, 0);
  leave(c, 'fault');
  const given = isStruct(fault) ? fault.get('faultCode') : undefined;
  const code = typeof given === 'string' ? int64Of(given) : given;
  const message = isStruct(fault) ? fault.get('faultString') : undefined;
  if (typeof code !== 'bigint' || typeof message !== 'string') {
    throw new DecodeFailure('Expected a struct of faultCode and faultString', at);
  }
  return { kind: 'fault', code, message };
};

const readParams = (c: XmlCursor): readonly Value[] => {
  nextTag(c);
  return paramsHere(c);
};

/** With the cursor on what should be `<params>`. */
const paramsHere = (c: XmlCursor): readonly Value[] => {
  const params: Value[] = [];
  if (!isOpened(c, 'params')) return params;
  while (another(c, 'params', 'param')) {
    if (isEmpty(c)) throw new DecodeFailure('Expected <value> in <param>', c.tagAt);
    expectTag(c, 'value');
    params.push(readValue(c, 0));
    leave(c, 'param');
  }
  return params;
};

/** With the cursor on `<value>` or `<value/>`. White space beside a type tag is layout, else it is the string. */
const readValue = (c: XmlCursor, depth: number): Value => {
  c.items += 1;
  if (c.items > c.limits.itemsMax) {
    throw new DecodeFailure(`Expected at most ${c.limits.itemsMax} values`, c.tagAt);
  }
  if (isEmpty(c)) return '';
  next(c);
  if (c.form === 'close') {
    if (c.name !== 'value') throw mismatch(c, '</value>');
    return c.data;
  }
  noData(c);
  const value = readTyped(c, depth);
  leave(c, 'value');
  return value;
};

const readTyped = (c: XmlCursor, depth: number): Value => {
  const { name, tagAt } = c;
  switch (name) {
    case 'string':
      return leaf(c, name);
    case 'struct':
      return readStruct(c, depth + 1);
    case 'array':
      return readArray(c, depth + 1);
    case 'i4':
    case 'int':
    case 'i8':
      return parsed(int64Of, leaf(c, name), 'an int64', tagAt);
    case 'boolean':
      // Only "1" is true: "true" is false, as clients of other XenAPI servers know it.
      return leaf(c, name) === '1';
    case 'double':
      return parsed(floatOf, leaf(c, name), 'a number', tagAt);
    case 'dateTime.iso8601':
      return { dateTime: leaf(c, name) };
    case 'base64':
      return parsed(bytesOf, leaf(c, name), 'base64', tagAt);
    case 'nil':
      if (leaf(c, name) === '') return null;
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

/** Lines may be broken anywhere, as MIME encoders do; the padding must be there. */
const bytesOf = (text: string): Uint8Array | undefined => {
  const packed = text.replace(/[ \t\r\n]/g, '');
  if (packed.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(packed)) return undefined;
  return new Uint8Array(Buffer.from(packed, 'base64'));
};

const readArray = (c: XmlCursor, depth: number): readonly Value[] => {
  notDeeper(c, depth);
  const items: Value[] = [];
  if (isEmpty(c) || !another(c, 'array', 'data')) return items;
  if (!isEmpty(c)) {
    while (another(c, 'data', 'value')) items.push(readValue(c, depth));
  }
  leave(c, 'array');
  return items;
};

/** A member that is there twice: the last one counts, as in JSON and in most XML-RPC libraries. */
const readStruct = (c: XmlCursor, depth: number): Struct => {
  notDeeper(c, depth);
  const members = new Map<string, Value>();
  if (isEmpty(c)) return members;
  while (another(c, 'struct', 'member')) {
    if (isEmpty(c)) throw new DecodeFailure('Expected <name> in <member>', c.tagAt);
    expectTag(c, 'name');
    const name = leaf(c, 'name');
    expectTag(c, 'value');
    members.set(name, readValue(c, depth));
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
  if (c.data !== '' && !isBlank(c.data)) throw new DecodeFailure('Expected no text before this tag', c.tagAt);
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
const leaf = (c: XmlCursor, name: string): string => {
  if (isEmpty(c)) return '';
  next(c);
  if (c.form !== 'close' || c.name !== name) throw mismatch(c, `</${name}>`);
  return c.data;
};

const finish = (c: XmlCursor): void => {
  nextTag(c);
  if (c.form !== 'end') throw mismatch(c, 'the end of the text');
};
