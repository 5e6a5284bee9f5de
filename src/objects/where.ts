import { Fault } from '../std/fault.ts';
import type { AnyRecord } from '../store/schema.ts';

// The expressions of `get_all_records_where`: `field "name_label" = "a" and not field "uuid" = "b"`.
// `and` and `or` bind alike, from the left; `not` binds closer. Words need no space between them, which
// storage drivers rely on. Reading takes time linear in the expression; the test of a row takes that and the
// time to write out, once, each field that is compared.

export type Where = (record: AnyRecord) => boolean;

export const whereLengthMax = 65_536;
/** Parentheses and `not` inside one another. */
export const whereDepthMax = 64;
/** Comparisons and constants in one expression: each is done for each row. */
export const whereTermsMax = 1_000;

/** A row under test, with the texts of those of its fields that were compared already. */
interface Subject {
  readonly record: AnyRecord;
  readonly texts: Map<string, string>;
}

/** What is compared: the text that the row gives for it. */
type Operand = (subject: Subject) => string;
type Term = (subject: Subject) => boolean;

interface Cursor {
  readonly expr: string;
  readonly tokens: readonly string[];
  at: number;
  terms: number;
}

const token = /[ \t\r\n]*(?:(true|false|field|and|or|not|[=()]|"[^"]*")|$)/y;

/** Throws INVALID_VALUE with the expression and what is wrong with it. */
export const parseWhere = (expr: string): Where => {
  if (expr.length > whereLengthMax) {
    throw refused(`${expr.slice(0, 100)}...`, `Expected at most ${whereLengthMax} characters`);
  }
  const c: Cursor = { expr, tokens: tokensOf(expr), at: 0, terms: 0 };
  const where = readChain(c, 0);
  if (c.at < c.tokens.length) throw unexpected(c, '"and", "or" or the end');
  return (record) => where({ record, texts: new Map() });
};

const refused = (expr: string, reason: string): Fault => new Fault('INVALID_VALUE', [expr, reason]);

const unexpected = (c: Cursor, wanted: string): Fault =>
  refused(c.expr, `Expected ${wanted}, got ${c.tokens[c.at] ?? 'the end'}`);

const tokensOf = (expr: string): readonly string[] => {
  const tokens: string[] = [];
  token.lastIndex = 0;
  while (token.lastIndex < expr.length) {
    const at = token.lastIndex;
    const found = token.exec(expr);
    if (found === null) {
      throw refused(expr, `Expected true, false, field, and, or, not, =, ( ) or "text" at offset ${at}`);
    }
    if (found[1] !== undefined) tokens.push(found[1]);
  }
  return tokens;
};

/** Terms between `and` and `or`. Kept as a list, so that a long chain is not a deep one. */
const readChain = (c: Cursor, depth: number): Term => {
  const first = readTerm(c, depth);
  const rest: { readonly and: boolean; readonly term: Term }[] = [];
  while (c.tokens[c.at] === 'and' || c.tokens[c.at] === 'or') {
    const and = c.tokens[c.at] === 'and';
    c.at += 1;
    rest.push({ and, term: readTerm(c, depth) });
  }
  if (rest.length === 0) return first;
  return (subject) => {
    let passes = first(subject);
    // Where the term can change nothing it is not asked.
    for (const { and, term } of rest) if (passes === and) passes = term(subject);
    return passes;
  };
};

const readTerm = (c: Cursor, depth: number): Term => {
  if (depth > whereDepthMax) throw refused(c.expr, `Expected at most ${whereDepthMax} parentheses and nots`);
  const word = c.tokens[c.at];
  if (word === 'not') {
    c.at += 1;
    const term = readTerm(c, depth + 1);
    return (subject) => !term(subject);
  }
  if (word === '(') {
    c.at += 1;
    const inner = readChain(c, depth + 1);
    if (c.tokens[c.at] !== ')') throw unexpected(c, ')');
    c.at += 1;
    return inner;
  }
  c.terms += 1;
  if (c.terms > whereTermsMax) throw refused(c.expr, `Expected at most ${whereTermsMax} comparisons`);
  if (word !== 'true' && word !== 'false') return readComparison(c);
  c.at += 1;
  return () => word === 'true';
};

const readComparison = (c: Cursor): Term => {
  const left = readOperand(c);
  if (c.tokens[c.at] !== '=') throw unexpected(c, '=');
  c.at += 1;
  const right = readOperand(c);
  return (subject) => left(subject) === right(subject);
};

const readOperand = (c: Cursor): Operand => {
  const named = c.tokens[c.at] === 'field';
  if (named) c.at += 1;
  const quoted = c.tokens[c.at];
  if (quoted?.startsWith('"') !== true)
    throw unexpected(c, named ? 'a field name in quotes' : 'a comparison');
  c.at += 1;
  const text = quoted.slice(1, -1);
  return named ? fieldOperand(c.expr, text) : () => text;
};

/** A field may be named as on the wire or, as older clients do, as the database column `name__label`. */
const fieldOperand = (expr: string, name: string): Operand => {
  const onWire = name.replaceAll('__', '_');
  return ({ record, texts }) => {
    const field = Object.hasOwn(record, name) ? name : onWire;
    if (!Object.hasOwn(record, field)) throw refused(expr, `There is no field ${name}`);
    const known = texts.get(field);
    if (known !== undefined) return known;
    const text = comparedText(record[field]);
    texts.set(field, text);
    return text;
  };
};

const quotedText = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

/** Scalars as on the wire; sets `('a' 'b')` and maps `(('k' 'v'))`, as clients compare them with `"()"`. */
const comparedText = (value: unknown): string => {
  if (Array.isArray(value)) return `(${value.map((item) => quotedText(comparedText(item))).join(' ')})`;
  if (value instanceof Map) {
    const pairs = [...value].map(
      ([key, item]) => `(${quotedText(String(key))} ${quotedText(comparedText(item))})`,
    );
    return `(${pairs.join(' ')})`;
  }
  return String(value);
};
