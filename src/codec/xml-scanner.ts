import { DecodeFailure, shown } from '../std/decode-failure.ts';
import { type DecodeLimits, refuseLong } from './limits.ts';
import { type PausingRead, pieceUnits, refuseCharacters } from './reading.ts';

/**
 * A place in an XML document: the tag that was read last and the character data before it. Goes once
 * over the text, whatever is in it. Comments, processing instructions and CDATA are understood;
 * attributes are passed over unless they are asked for; a DTD is refused, and with it every entity that is
 * not predefined.
 */
export interface XmlCursor {
  readonly text: string;
  readonly limits: DecodeLimits;
  at: number;
  /** Where the tag that was read last starts. */
  tagAt: number;
  form: 'open' | 'close' | 'empty' | 'end';
  name: string;
  /** Of the tag, for who asked for them. */
  readonly attributes: Map<string, string> | undefined;
  /** Where the character data before the tag is, unread. */
  data: readonly Run[];
  items: number;
  /** Where others had their turn last. */
  pausedAt: number;
}

/** A run of character data. CDATA has no references. */
interface Run {
  readonly from: number;
  readonly to: number;
  readonly isCdata: boolean;
}

const nothing: readonly Run[] = [];

/** All but the characters that XML 1.0 allows in a document; lone surrogates are among it. */
const forbidden = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

export const xmlCursor = function* (
  text: string,
  limits: DecodeLimits,
  { attributes = false } = {},
): PausingRead<XmlCursor> {
  refuseLong(text, limits);
  yield* refuseCharacters(text, forbidden, (at) => {
    const code = text.charCodeAt(at).toString(16).padStart(4, '0');
    return new DecodeFailure(`Expected a character that XML allows, got U+${code}`, at);
  });
  const cursor: XmlCursor = {
    text,
    limits,
    at: 0,
    tagAt: 0,
    form: 'end',
    name: '',
    attributes: attributes ? new Map() : undefined,
    data: nothing,
    items: 0,
    pausedAt: 0,
  };
  if (text.startsWith('\ufeff')) cursor.at = 1;
  if (text.startsWith('<?xml', cursor.at) && isSpace(text.charCodeAt(cursor.at + 5))) {
    cursor.at = endOf(cursor, '?>', cursor.at + 5, 'the end of the XML declaration') + 2;
  }
  return cursor;
};

/** Whether the next pause is due, and then it is taken. */
export const isPieceRead = (c: XmlCursor, at = c.at): boolean => {
  if (at - c.pausedAt < pieceUnits) return false;
  c.pausedAt = at;
  return true;
};

/** Values, and whatever else a short text can be full of. */
export const count = (c: XmlCursor): void => {
  c.items += 1;
  if (c.items <= c.limits.itemsMax) return;
  throw new DecodeFailure(`Expected at most ${c.limits.itemsMax} values, comments and the like`, c.tagAt);
};

/** Moves to the next tag, or to the end of the text. */
export const next = (c: XmlCursor): void => {
  const { text } = c;
  c.data = nothing;
  for (;;) {
    const from = c.at;
    const tag = text.indexOf('<', from);
    if (tag < 0) {
      add(c, from, text.length);
      c.at = text.length;
      c.tagAt = c.at;
      c.form = 'end';
      c.name = '';
      return;
    }
    add(c, from, tag);
    const mark = text.charCodeAt(tag + 1);
    if (mark !== 0x21 && mark !== 0x3f) {
      readTag(c, tag, mark === 0x2f);
      return;
    }
    c.tagAt = tag;
    count(c);
    if (mark === 0x21) skipMarkup(c, tag);
    else skipInstruction(c, tag);
  }
};

const add = (c: XmlCursor, from: number, to: number, isCdata = false): void => {
  if (from === to) return;
  const run = { from, to, isCdata };
  // Nearly always there is one.
  if (c.data === nothing) c.data = [run];
  else (c.data as Run[]).push(run);
};

const endOf = (c: XmlCursor, what: string, from: number, expected: string): number => {
  const end = c.text.indexOf(what, from);
  if (end < 0) throw new DecodeFailure(`Expected ${expected}`, c.text.length);
  return end;
};

/** `<!`: a comment is skipped and CDATA is character data. */
const skipMarkup = (c: XmlCursor, tag: number): void => {
  if (c.text.startsWith('<!--', tag)) {
    const end = endOf(c, '--', tag + 4, 'the end of the comment');
    if (c.text.charCodeAt(end + 2) !== 0x3e)
      throw new DecodeFailure('Expected no "--" inside a comment', end);
    c.at = end + 3;
    return;
  }
  if (c.text.startsWith('<![CDATA[', tag)) {
    const end = endOf(c, ']]>', tag + 9, 'the end of the CDATA section');
    add(c, tag + 9, end, true);
    c.at = end + 3;
    return;
  }
  throw new DecodeFailure('Expected no document type or other declaration', tag);
};

const skipInstruction = (c: XmlCursor, tag: number): void => {
  const end = endOf(c, '?>', tag + 2, 'the end of the processing instruction');
  const nameEnd = skipName(c, tag + 2);
  if (nameEnd < end && !isSpace(c.text.charCodeAt(nameEnd))) {
    throw new DecodeFailure('Expected the name of the processing instruction', tag + 2);
  }
  if (c.text.slice(tag + 2, nameEnd).toLowerCase() === 'xml') {
    throw new DecodeFailure('Expected the XML declaration only at the very start', tag);
  }
  c.at = end + 2;
};

const readTag = (c: XmlCursor, tag: number, closing: boolean): void => {
  const { text } = c;
  const nameAt = tag + (closing ? 2 : 1);
  let at = skipName(c, nameAt);
  c.name = text.slice(nameAt, at);
  c.attributes?.clear();
  if (text.charCodeAt(at) !== 0x3e) {
    at = closing ? skipSpace(text, at) : skipAttributes(c, at);
  }
  const empty = !closing && text.charCodeAt(at) === 0x2f;
  if (empty) at += 1;
  if (text.charCodeAt(at) !== 0x3e) throw new DecodeFailure(`Expected the end of the tag <${c.name}>`, at);
  if (at - tag > tagMaxOf(c)) throw longTag(c, tag);
  c.tagAt = tag;
  c.at = at + 1;
  c.form = closing ? 'close' : empty ? 'empty' : 'open';
};

/** A tag is read in one step. Clients write none with attributes. */
const tagUnitsMax = 4_096;

const tagMaxOf = ({ limits }: XmlCursor): number => limits.tagMax ?? tagUnitsMax;

const longTag = (c: XmlCursor, at: number): DecodeFailure =>
  new DecodeFailure(`Expected a tag of at most ${tagMaxOf(c)} characters`, at);

const skipAttributes = (c: XmlCursor, from: number): number => {
  const { text } = c;
  for (let at = from; ; ) {
    const nameAt = skipSpace(text, at);
    const code = text.charCodeAt(nameAt);
    if (code === 0x3e || code === 0x2f || nameAt >= text.length) return nameAt;
    if (nameAt === at) throw new DecodeFailure('Expected white space before an attribute', at);
    const nameEnd = skipName(c, nameAt);
    const equals = skipSpace(text, nameEnd);
    if (text.charCodeAt(equals) !== 0x3d) throw new DecodeFailure('Expected = after an attribute', equals);
    const open = skipSpace(text, equals + 1);
    const quote = text[open];
    if (quote !== '"' && quote !== "'") throw new DecodeFailure('Expected a quoted attribute', open);
    const close = endOf(c, quote, open + 1, 'the end of the attribute');
    // Who asks for no value is told of what is not XML all the same.
    if (close - from > tagMaxOf(c)) throw longTag(c, from);
    const value = text.slice(open + 1, close);
    if (value.includes('<')) throw new DecodeFailure('Expected no < in an attribute', open);
    const said = resolve(c.attributes === undefined ? value : oneSpace(value), open + 1);
    keep(c, text.slice(nameAt, nameEnd), said, nameAt);
    at = close + 1;
  }
};

/** XML reads white space within an attribute as spaces; what is meant is written as a reference. */
const oneSpace = (value: string): string => value.replaceAll(/\r\n|[\t\n\r]/g, ' ');

const keep = ({ attributes }: XmlCursor, name: string, value: string, at: number): void => {
  if (attributes?.has(name) === true) throw new DecodeFailure(`Expected ${name} only once in a tag`, at);
  attributes?.set(name, value);
};

/** The end of the name at `from`. XML-RPC needs ASCII names only. */
const skipName = (c: XmlCursor, from: number): number => {
  const { text } = c;
  let at = from;
  while (at - from <= tagUnitsMax && isNameCode(text.charCodeAt(at), at === from)) at += 1;
  if (at === from) throw new DecodeFailure('Expected a name', from);
  return at;
};

const isNameCode = (code: number, first: boolean): boolean =>
  (code >= 0x61 && code <= 0x7a) ||
  (code >= 0x41 && code <= 0x5a) ||
  code === 0x5f ||
  code === 0x3a ||
  (!first && ((code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x2e));

const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

const skipSpace = (text: string, from: number): number => {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at += 1;
  return at;
};

/** Whether there is nothing before the tag but white space as such: that is layout. */
export const isLayout = (c: XmlCursor): boolean =>
  c.data.every((run) => skipSpace(c.text, run.from) >= run.to);

/** The character data before the tag: references are resolved and line ends are LF. */
export const dataOf = function* (c: XmlCursor): PausingRead<string> {
  const parts: string[] = [];
  for (const { from, to, isCdata } of c.data) {
    for (let at = from; at < to; ) {
      const end = pieceEnd(c.text, at, to);
      const raw = oneLineEnd(c.text.slice(at, end));
      parts.push(isCdata ? raw : resolve(raw, at));
      at = end;
      if (isPieceRead(c, at)) yield;
    }
  }
  return parts.length === 1 ? (parts[0] as string) : parts.join('');
};

/** `#x10ffff` with some zeros before it. */
const referenceUnitsMax = 12;

/** Never between CR and LF, and not inside of what may be a reference. */
const pieceEnd = (text: string, from: number, to: number): number => {
  if (to - from <= pieceUnits) return to;
  const end = from + pieceUnits;
  const last = end - referenceUnitsMax;
  const begun = text.slice(last, end).lastIndexOf('&');
  if (begun >= 0) return last + begun;
  return text.charCodeAt(end - 1) === 0x0d ? end - 1 : end;
};

/** XML reads every line end as LF; a CR that is meant is written as a reference. */
const oneLineEnd = (raw: string): string => {
  if (!raw.includes('\r')) return raw;
  // The engine does this in half the time that it needs to replace a pattern.
  const text = raw.split('\r\n').join('\n');
  return text.includes('\r') ? text.split('\r').join('\n') : text;
};

const predefined: ReadonlyMap<string, string> = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['amp', '&'],
  ['quot', '"'],
  ['apos', "'"],
]);

const resolve = (raw: string, from: number): string => {
  let at = raw.indexOf('&');
  if (at < 0) return raw;
  const parts = [raw.slice(0, at)];
  while (at >= 0) {
    const end = at + 1 + raw.slice(at + 1, at + referenceUnitsMax).indexOf(';');
    const character = end > at + 1 ? characterOf(raw.slice(at + 1, end)) : undefined;
    if (character === undefined) throw noReference(raw, from, at);
    const next = raw.indexOf('&', end);
    parts.push(character, raw.slice(end + 1, next < 0 ? raw.length : next));
    at = next;
  }
  return parts.join('');
};

const noReference = (raw: string, from: number, at: number): DecodeFailure =>
  new DecodeFailure(`Expected a reference such as &amp; got ${shown(raw.slice(at, at + 60))}`, from + at);

const characterOf = (name: string): string | undefined => {
  const known = predefined.get(name);
  if (known !== undefined) return known;
  const number = /^#(?:(\d{1,9})|x([0-9a-fA-F]{1,8}))$/.exec(name);
  if (number === null) return undefined;
  const code = number[1] !== undefined ? Number(number[1]) : Number.parseInt(number[2] as string, 16);
  if (code > 0x10ffff) return undefined;
  const character = String.fromCodePoint(code);
  return forbidden.test(character) ? undefined : character;
};
