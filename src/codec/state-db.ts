import { DecodeFailure, shown } from '../std/decode-failure.ts';
import type { DecodeLimits } from './limits.ts';
import type { PausingRead } from './reading.ts';
import { count, isPieceRead, next, type XmlCursor, xmlCursor } from './xml-scanner.ts';

// The database of a pool as one XML document, as xapi keeps it in `state.db`: tables of rows, each row a tag
// whose attributes are its columns. What the columns mean is nobody's business here.

export interface StateManifest {
  /** Of the schema that the columns are of. */
  readonly major: number;
  readonly minor: number;
  readonly generation: number;
}

export interface StateRow {
  readonly ref: string;
  /** Generations. */
  readonly created: number;
  readonly modified: number;
  readonly columns: ReadonlyMap<string, string>;
}

export interface StateTable {
  readonly name: string;
  readonly rows: Iterable<StateRow>;
}

/** Of a pool of several ten thousand VMs. */
export const stateDbBytesMax = 256 * 1_048_576;

/** A row and its tag: a VM with the record of a snapshot's whole VM in it. */
const limits: DecodeLimits = {
  depthMax: 3,
  itemsMax: 1_000_000,
  textMax: stateDbBytesMax,
  tagMax: 8 * 1_048_576,
};

// White space is spelled out, as readers of XML take any of it in an attribute for spaces.
const spelled: ReadonlyMap<string, string> = new Map([
  [' ', '%.'],
  ['\t', '%t'],
  ['\n', '%n'],
  ['\r', '%r'],
  ['%', '%%'],
]);
const meant: ReadonlyMap<string, string> = new Map([
  ...[...spelled].map(([character, text]) => [text, character] as const),
  ['%_', '  '],
]);

const protectedText = (text: string): string =>
  text.replaceAll(/[ \t\n\r%]/g, (one) => spelled.get(one) as string);

const plainText = (text: string): string =>
  text.includes('%') ? text.replaceAll(/%[\s\S]/g, (one) => meant.get(one) ?? one) : text;

const escapes: ReadonlyMap<string, string> = new Map([
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['&', '&amp;'],
  ['"', '&quot;'],
]);

const attribute = (name: string, text: string): string =>
  ` ${name}="${text.replaceAll(/[<>&"]/g, (one) => escapes.get(one) as string)}"`;

const byBytes = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

/**
 * The document in pieces. Tables and rows come in the order in which they are given, which is that of their
 * names and references; columns are put in theirs.
 */
export function* stateDbText(manifest: StateManifest, tables: Iterable<StateTable>): Generator<string> {
  yield '<?xml version="1.0" encoding="UTF-8"?>\n<database><manifest>';
  yield pairText('schema_major_vsn', manifest.major);
  yield pairText('schema_minor_vsn', manifest.minor);
  yield pairText('generation_count', manifest.generation);
  yield '</manifest>';
  for (const { name, rows } of tables) {
    let empty = true;
    for (const row of rows) {
      yield empty ? `<table${attribute('name', name)}>${rowText(row)}` : rowText(row);
      empty = false;
    }
    yield empty ? `<table${attribute('name', name)}/>` : '</table>';
  }
  yield '</database>';
}

const pairText = (key: string, value: number): string =>
  `<pair${attribute('key', key)}${attribute('value', String(value))}/>`;

const rowText = ({ ref, created, modified, columns }: StateRow): string => {
  const head =
    attribute('ref', ref) + attribute('__ctime', `${created}`) + attribute('__mtime', `${modified}`);
  const named = [...columns, ['_ref', ref] as const].toSorted(([one], [other]) => byBytes(one, other));
  return `<row${head}${named.map(([name, text]) => attribute(name, protectedText(text))).join('')}/>`;
};

export interface StateDb {
  readonly manifest: StateManifest;
  readonly tables: ReadonlyMap<string, readonly StateRow[]>;
}

/** Throws `DecodeFailure` where the text is no such document, or one beyond the limits. */
export const readingStateDb = function* (text: string): PausingRead<StateDb> {
  const c = yield* xmlCursor(text, limits, { attributes: true });
  next(c);
  expectOpen(c, 'database');
  const pairs = new Map<string, string>();
  const tables = new Map<string, StateRow[]>();
  for (next(c); !isEndOf(c, 'database'); next(c)) {
    if (c.name === 'manifest') readManifest(c, pairs);
    else if (c.name === 'table') yield* readTable(c, tables);
    else throw new DecodeFailure(`Expected a table, got <${c.name.slice(0, 40)}>`, c.tagAt);
  }
  next(c);
  if (c.form !== 'end') throw new DecodeFailure('Expected the end of the document', c.tagAt);
  const of = (key: string): number => countIn(pairs.get(key), `${key} of the manifest`, c.tagAt);
  return {
    manifest: {
      major: of('schema_major_vsn'),
      minor: of('schema_minor_vsn'),
      generation: of('generation_count'),
    },
    tables,
  };
};

const expectOpen = (c: XmlCursor, name: string): void => {
  if (c.name !== name || c.form !== 'open') throw new DecodeFailure(`Expected <${name}>`, c.tagAt);
};

const isEndOf = (c: XmlCursor, name: string): boolean => {
  if (c.form === 'end') throw new DecodeFailure(`Expected </${name}>: the document was cut short`, c.tagAt);
  if (c.form === 'close' && c.name !== name) throw new DecodeFailure(`Expected </${name}>`, c.tagAt);
  return c.form === 'close';
};

/** A tag with nothing in it. */
const expectLeaf = (c: XmlCursor, name: string): ReadonlyMap<string, string> => {
  if (c.name !== name || c.form === 'close') throw new DecodeFailure(`Expected <${name}/>`, c.tagAt);
  const said = new Map(c.attributes);
  if (c.form === 'open') {
    next(c);
    if (!isEndOf(c, name)) throw new DecodeFailure(`Expected nothing within <${name}>`, c.tagAt);
  }
  return said;
};

const readManifest = (c: XmlCursor, pairs: Map<string, string>): void => {
  if (c.form === 'empty') return;
  for (next(c); !isEndOf(c, 'manifest'); next(c)) {
    const said = expectLeaf(c, 'pair');
    pairs.set(said.get('key') ?? '', said.get('value') ?? '');
  }
};

const readTable = function* (c: XmlCursor, tables: Map<string, StateRow[]>): PausingRead<void> {
  const name = c.attributes?.get('name');
  if (name === undefined) throw new DecodeFailure('Expected the name of the table', c.tagAt);
  if (tables.has(name)) throw new DecodeFailure(`Expected the table ${shown(name)} only once`, c.tagAt);
  const rows: StateRow[] = [];
  tables.set(name, rows);
  if (c.form === 'empty') return;
  const known = new Set<string>();
  for (next(c); !isEndOf(c, 'table'); next(c)) {
    count(c);
    const row = rowOf(expectLeaf(c, 'row'), c.tagAt);
    if (known.has(row.ref))
      throw new DecodeFailure(`Expected ${shown(row.ref)} only once in ${name}`, c.tagAt);
    known.add(row.ref);
    rows.push(row);
    if (isPieceRead(c)) yield;
  }
};

const own: ReadonlySet<string> = new Set(['ref', '_ref', '__ctime', '__mtime']);

const rowOf = (said: ReadonlyMap<string, string>, at: number): StateRow => {
  const ref = said.get('ref') ?? '';
  if (ref === '') throw new DecodeFailure('Expected the reference of the row', at);
  const columns = [...said].filter(([name]) => !own.has(name));
  return {
    ref,
    created: countIn(said.get('__ctime') ?? '0', '__ctime', at),
    modified: countIn(said.get('__mtime') ?? '0', '__mtime', at),
    columns: new Map(columns.map(([name, text]) => [name, plainText(text)])),
  };
};

const countIn = (text: string | undefined, what: string, at: number): number => {
  const number = /^\d{1,15}$/.test(text ?? '') ? Number(text) : undefined;
  if (number === undefined) throw new DecodeFailure(`Expected ${what} to be a number`, at);
  return number;
};
