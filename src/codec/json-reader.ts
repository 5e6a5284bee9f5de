import { DecodeFailure, shown } from '../std/decode-failure.ts';
import { int64Of } from '../std/numbers.ts';
import type { Struct, Value } from '../std/value.ts';
import { type DecodeLimits, decodeLimits, refuseLong } from './limits.ts';
import { isHighSurrogate, type PausingRead, pieceUnits, readAtOnce, refuseCharacters } from './reading.ts';

interface JsonCursor {
  readonly text: string;
  readonly limits: DecodeLimits;
  at: number;
  items: number;
  /** Where others had their turn last. */
  pausedAt: number;
}

/** Whether the next pause is due, and then it is taken. */
const isPieceRead = (c: JsonCursor): boolean => {
  if (c.at - c.pausedAt < pieceUnits) return false;
  c.pausedAt = c.at;
  return true;
};

const loneSurrogate = /[\ud800-\udfff]/u;

/**
 * Strict JSON with two differences that OCaml peers need: integers are int64 and exact, beyond that
 * refused, and `NaN`, `Infinity` and `-Infinity` are numbers. Of a repeated key the last value counts.
 * Half of a surrogate pair is refused, since no XML, file or peer could carry it on.
 * Throws a `DecodeFailure`.
 */
export const readJson = (text: string, limits: DecodeLimits = decodeLimits): Value =>
  readAtOnce(readingJson(text, limits));

/** As `readJson`, with pauses. */
export const readingJson = function* (text: string, limits: DecodeLimits): PausingRead<Value> {
  refuseLong(text, limits);
  yield* refuseCharacters(
    text,
    loneSurrogate,
    (at) => new DecodeFailure('Expected whole characters, got half a surrogate pair', at),
  );
  const c: JsonCursor = { text, limits, at: 0, items: 0, pausedAt: 0 };
  const value = yield* readValue(c, 0);
  skipSpace(c);
  if (c.at < text.length) throw expected(c, 'the end of the text');
  return value;
};

const expected = (c: JsonCursor, what: string, at = c.at): DecodeFailure => {
  const got = at < c.text.length ? shown(c.text.slice(at, at + 20)) : 'the end of the text';
  return new DecodeFailure(`Expected ${what}, got ${got}`, at);
};

const quote = 0x22;
const backslash = 0x5c;

const skipSpace = (c: JsonCursor): void => {
  const { text } = c;
  for (let at = c.at; ; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) continue;
    c.at = at;
    return;
  }
};

/** The next character that is not white space, and the cursor on it. */
const peek = (c: JsonCursor): string | undefined => {
  skipSpace(c);
  return c.text[c.at];
};

const readValue = function* (c: JsonCursor, depth: number): PausingRead<Value> {
  c.items += 1;
  if (c.items > c.limits.itemsMax)
    throw new DecodeFailure(`Expected at most ${c.limits.itemsMax} values`, c.at);
  if (isPieceRead(c)) yield;
  switch (peek(c)) {
    case '"':
      return yield* readString(c);
    case '{':
      return yield* readObject(c, depth + 1);
    case '[':
      return yield* readArray(c, depth + 1);
    case 't':
      return word(c, 'true', true);
    case 'f':
      return word(c, 'false', false);
    case 'n':
      return word(c, 'null', null);
    case 'N':
      return word(c, 'NaN', Number.NaN);
    case 'I':
      return word(c, 'Infinity', Infinity);
    default:
      return readNumber(c);
  }
};

const word = <T>(c: JsonCursor, name: string, value: T): T => {
  if (!c.text.startsWith(name, c.at)) throw expected(c, 'a value');
  c.at += name.length;
  return value;
};

const numberUnitsMax = 1_024;
const number = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;

const readNumber = (c: JsonCursor): Value => {
  if (c.text.startsWith('-Infinity', c.at)) return word(c, '-Infinity', -Infinity);
  number.lastIndex = 0;
  const found = number.exec(c.text.slice(c.at, c.at + numberUnitsMax + 1));
  if (found === null) throw expected(c, 'a value');
  const [digits, fraction, exponent] = found;
  const start = c.at;
  c.at += digits.length;
  if (digits.length > numberUnitsMax) throw expected(c, 'an integer of 64 bits or a shorter number', start);
  if (fraction !== undefined || exponent !== undefined) return Number(digits);
  const int = int64Of(digits);
  if (int === undefined) throw expected(c, 'an integer of 64 bits', start);
  return int;
};

const enter = (c: JsonCursor, depth: number): void => {
  if (depth > c.limits.depthMax) {
    throw new DecodeFailure(
      `Expected at most ${c.limits.depthMax} arrays and objects inside one another`,
      c.at,
    );
  }
  c.at += 1;
};

/** Steps over `,` and says true, or over the end of the list and says false. */
const another = (c: JsonCursor, end: string): boolean => {
  const mark = peek(c);
  if (mark !== ',' && mark !== end) throw expected(c, `, or ${end}`);
  c.at += 1;
  return mark === ',';
};

const readArray = function* (c: JsonCursor, depth: number): PausingRead<readonly Value[]> {
  enter(c, depth);
  const items: Value[] = [];
  if (peek(c) === ']') {
    c.at += 1;
    return items;
  }
  do items.push(yield* readValue(c, depth));
  while (another(c, ']'));
  return items;
};

const readObject = function* (c: JsonCursor, depth: number): PausingRead<Struct> {
  enter(c, depth);
  const members = new Map<string, Value>();
  if (peek(c) === '}') {
    c.at += 1;
    return members;
  }
  do {
    if (peek(c) !== '"') throw expected(c, 'a key in quotes');
    const key = yield* readString(c);
    if (peek(c) !== ':') throw expected(c, ':');
    c.at += 1;
    members.set(key, yield* readValue(c, depth));
  } while (another(c, '}'));
  return members;
};

/** What ends a run of characters that stand for themselves: a quote, a backslash, a control character. */
const notPlain = /[^\x20!#-[\]-\uffff]/g;

const readString = function* (c: JsonCursor): PausingRead<string> {
  const { text } = c;
  notPlain.lastIndex = c.at + 1;
  const end = notPlain.test(text) ? notPlain.lastIndex - 1 : text.length;
  if (text.charCodeAt(end) !== quote) return yield* readEscaped(c);
  const plain = text.slice(c.at + 1, end);
  c.at = end + 1;
  return plain;
};

/** With the cursor on the quote that begins the string. */
const readEscaped = function* (c: JsonCursor): PausingRead<string> {
  const { text } = c;
  const end = yield* endOfString(c);
  const parts: string[] = [];
  c.at += 1;
  while (c.at < end) {
    parts.push(readPiece(c, endOfPiece(text, c.at, end)));
    if (isPieceRead(c)) yield;
  }
  if (text.charCodeAt(end) !== quote) throw expected(c, 'the end of the string', text.length);
  c.at = end + 1;
  return parts.length === 1 ? (parts[0] as string) : parts.join('');
};

/** The quote that ends the string: the first without an odd number of backslashes before it. */
const endOfString = function* ({ text, at }: JsonCursor): PausingRead<number> {
  let pausedAt = at;
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    if (!isEscaped(text, end)) return end;
    if (end - pausedAt < pieceUnits) continue;
    pausedAt = end;
    yield;
  }
  return text.length;
};

const isEscaped = (text: string, at: number): boolean => {
  let before = at;
  while (text.charCodeAt(before - 1) === backslash) before -= 1;
  return (at - before) % 2 === 1;
};

const firstHalf = /^\\u[dD][89abAB]/;

/** Neither within an escape nor between the halves of a surrogate pair. */
const endOfPiece = (text: string, from: number, end: number): number => {
  if (end - from <= pieceUnits) return end;
  const piece = text.slice(from, from + pieceUnits);
  let at = 0;
  for (let slash = piece.indexOf('\\'); slash >= 0; slash = piece.indexOf('\\', at)) {
    const begins = text.slice(from + slash, from + slash + 4);
    at = slash + (begins.startsWith('\\u') ? 6 : 2);
    if (firstHalf.test(begins)) at += 6;
  }
  if (at >= piece.length) return Math.min(from + at, end);
  return from + piece.length - (isHighSurrogate(piece.charCodeAt(piece.length - 1)) ? 1 : 0);
};

/**
 * Where the engine's own reader takes the piece it is many times faster than what tells where it is wrong.
 */
const readPiece = (c: JsonCursor, to: number): string => {
  try {
    const read: string = JSON.parse(`"${c.text.slice(c.at, to)}"`);
    if (!loneSurrogate.test(read)) {
      c.at = to;
      return read;
    }
  } catch {
    // Said below, with the place.
  }
  return readSlowly(c, to);
};

const readSlowly = (c: JsonCursor, to: number): string => {
  const { text } = c;
  let out = '';
  for (;;) {
    notPlain.lastIndex = c.at;
    const at = notPlain.test(text) ? Math.min(notPlain.lastIndex - 1, to) : to;
    out += text.slice(c.at, at);
    c.at = at;
    if (at === to) return out;
    c.at += 1;
    if (text.charCodeAt(at) !== backslash) throw expected(c, 'an escape', at);
    out += readEscape(c);
  }
};

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

/** With the cursor behind the backslash. */
const readEscape = (c: JsonCursor): string => {
  const mark = c.text[c.at] ?? '';
  if (mark !== 'u') {
    const character = shortEscapes.get(mark);
    if (character === undefined) throw expected(c, 'an escape such as \\n');
    c.at += 1;
    return character;
  }
  const start = c.at;
  const first = readUnit(c);
  if (first < 0xd800 || first > 0xdfff) return String.fromCharCode(first);
  if (first < 0xdc00 && c.text.startsWith('\\u', c.at)) {
    c.at += 1;
    const second = readUnit(c);
    if (second >= 0xdc00 && second <= 0xdfff) return String.fromCharCode(first, second);
  }
  throw expected(c, 'both halves of a surrogate pair', start);
};

/** With the cursor on the `u` of `\uXXXX`. */
const readUnit = (c: JsonCursor): number => {
  const digits = c.text.slice(c.at + 1, c.at + 5);
  if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw expected(c, 'four hexadecimal digits', c.at + 1);
  c.at += 5;
  return Number.parseInt(digits, 16);
};
