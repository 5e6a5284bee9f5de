import { DecodeFailure, type DecodeLimits, refuseLong, shown } from './limits.ts';

/**
 * A place in an XML document: the tag that was read last and the character data before it. Goes once
 * over the text, whatever is in it. Comments, processing instructions and CDATA are understood;
 * attributes are passed over; a DTD is refused, and with it every entity that is not predefined.
 */
export interface XmlCursor {
  readonly text: string;
  readonly limits: DecodeLimits;
  at: number;
  /** Where the tag that was read last starts. */
  tagAt: number;
  form: 'open' | 'close' | 'empty' | 'end';
  name: string;
  /** References are resolved and line ends are LF. */
  data: string;
  items: number;
}

/** All but the characters that XML 1.0 allows in a document; lone surrogates are among it. */
const forbidden = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

export const xmlCursor = (text: string, limits: DecodeLimits): XmlCursor => {
  refuseLong(text, limits);
  const bad = forbidden.exec(text);
  if (bad !== null) {
    const code = text.charCodeAt(bad.index).toString(16).padStart(4, '0');
    throw new DecodeFailure(`Expected a character that XML allows, got U+${code}`, bad.index);
  }
  const cursor: XmlCursor = { text, limits, at: 0, tagAt: 0, form: 'end', name: '', data: '', items: 0 };
  if (text.startsWith('\ufeff')) cursor.at = 1;
  if (text.startsWith('<?xml', cursor.at) && isSpace(text.charCodeAt(cursor.at + 5))) {
    cursor.at = endOf(cursor, '?>', cursor.at + 5, 'the end of the XML declaration') + 2;
  }
  return cursor;
};

/** Moves to the next tag, or to the end of the text. */
export const next = (c: XmlCursor): void => {
  const { text } = c;
  c.data = '';
  for (;;) {
    const from = c.at;
    const tag = text.indexOf('<', from);
    if (tag < 0) {
      c.data += characters(c, from, text.length);
      c.at = text.length;
      c.tagAt = c.at;
      c.form = 'end';
      c.name = '';
      return;
    }
    if (tag > from) c.data += characters(c, from, tag);
    const mark = text.charCodeAt(tag + 1);
    if (mark === 0x21) skipMarkup(c, tag);
    else if (mark === 0x3f) skipInstruction(c, tag);
    else {
      readTag(c, tag, mark === 0x2f);
      return;
    }
  }
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
    c.data += oneLineEnd(c.text.slice(tag + 9, end));
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
  if (text.charCodeAt(at) !== 0x3e) {
    at = closing ? skipSpace(text, at) : skipAttributes(c, at);
  }
  const empty = !closing && text.charCodeAt(at) === 0x2f;
  if (empty) at += 1;
  if (text.charCodeAt(at) !== 0x3e) throw new DecodeFailure(`Expected the end of the tag <${c.name}>`, at);
  c.tagAt = tag;
  c.at = at + 1;
  c.form = closing ? 'close' : empty ? 'empty' : 'open';
};

const skipAttributes = (c: XmlCursor, from: number): number => {
  const { text } = c;
  for (let at = from; ; ) {
    const nameAt = skipSpace(text, at);
    const code = text.charCodeAt(nameAt);
    if (code === 0x3e || code === 0x2f || nameAt >= text.length) return nameAt;
    if (nameAt === at) throw new DecodeFailure('Expected white space before an attribute', at);
    const equals = skipSpace(text, skipName(c, nameAt));
    if (text.charCodeAt(equals) !== 0x3d) throw new DecodeFailure('Expected = after an attribute', equals);
    const open = skipSpace(text, equals + 1);
    const quote = text[open];
    if (quote !== '"' && quote !== "'") throw new DecodeFailure('Expected a quoted attribute', open);
    const close = endOf(c, quote, open + 1, 'the end of the attribute');
    // Nobody asks for the value, but what is not XML is refused all the same.
    const value = text.slice(open + 1, close);
    if (value.includes('<')) throw new DecodeFailure('Expected no < in an attribute', open);
    resolve(value, open + 1);
    at = close + 1;
  }
};

/** The end of the name at `from`. XML-RPC needs ASCII names only. */
const skipName = (c: XmlCursor, from: number): number => {
  const { text } = c;
  let at = from;
  while (isNameCode(text.charCodeAt(at), at === from)) at += 1;
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

export const isBlank = (text: string): boolean => skipSpace(text, 0) === text.length;

const characters = (c: XmlCursor, from: number, to: number): string => {
  const raw = oneLineEnd(c.text.slice(from, to));
  return raw.includes('&') ? resolve(raw, from) : raw;
};

/** XML reads every line end as LF; a CR that is meant is written as a reference. */
const oneLineEnd = (raw: string): string =>
  // Two patterns without alternatives, as the engine replaces such ones many times faster.
  raw.includes('\r') ? raw.replace(/\r\n/g, '\n').replace(/\r/g, '\n') : raw;

/** `&amp;` last: what it leaves behind is no reference. Each pattern is one that the engine replaces fast. */
const predefined: readonly (readonly [RegExp, string])[] = [
  [/&lt;/g, '<'],
  [/&gt;/g, '>'],
  [/&quot;/g, '"'],
  [/&apos;/g, "'"],
  [/&amp;/g, '&'],
];
const reference = /&(?!(?:lt|gt|amp|quot|apos|#\d{1,9}|#x[0-9a-fA-F]{1,8});)/;
const numeric = /&(#[0-9a-fxA-F]{1,10});/g;
/** References by number in one piece of text: each costs far more than the characters that it is written with. */
export const numericMax = 100_000;

const resolve = (raw: string, from: number): string => {
  let count = 0;
  for (let at = raw.indexOf('&#'); at >= 0; at = raw.indexOf('&#', at + 2)) {
    count += 1;
    if (count > numericMax)
      throw new DecodeFailure(`Expected at most ${numericMax} references by number`, from + at);
  }
  const odd = reference.exec(raw);
  if (odd !== null) throw noReference(raw, from, odd.index);
  let text = raw;
  if (count > 0) {
    text = raw.replace(numeric, (_, name: string, at: number) => {
      const character = numbered(name);
      if (character === undefined) throw noReference(raw, from, at);
      // Not yet a beginning of another reference.
      return character === '&' ? '&amp;' : character;
    });
  }
  for (const [pattern, character] of predefined) text = text.replace(pattern, character);
  return text;
};

const noReference = (raw: string, from: number, at: number): DecodeFailure =>
  new DecodeFailure(`Expected a reference such as &amp; got ${shown(raw.slice(at, at + 60))}`, from + at);

const numbered = (name: string): string | undefined => {
  const decimal = /^#(\d+)$/.exec(name)?.[1];
  const hex = /^#x([0-9a-fA-F]+)$/.exec(name)?.[1];
  const code =
    decimal !== undefined ? Number(decimal) : hex !== undefined ? Number.parseInt(hex, 16) : Infinity;
  if (code > 0x10ffff) return undefined;
  const character = String.fromCodePoint(code);
  return forbidden.test(character) ? undefined : character;
};
