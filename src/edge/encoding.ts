import { jsonString } from '../codec/jsonrpc-writer.ts';
import { type EncoderOf, encodersOf, recordEncoder } from '../codec/typed.ts';
import { xmlText } from '../codec/xmlrpc-writer.ts';
import type { AnyClass } from '../model/class.ts';
import type { Type } from '../model/types.ts';
import type { Clock } from '../std/clock.ts';
import { inSlices } from '../std/pace.ts';
import type { Version } from '../store/version.ts';

/** The two languages of the edge, named as the fragments of a row are. */
export type Format = 'xml' | 'json';

/** Pieces of text that follow one another. A list of records is too long to be one. */
export type EncodedParts = readonly (string | Buffer)[];

/** A result on its way out. What it costs is paid only for the language that the caller speaks. */
export interface Encoding {
  (format: Format): EncodedParts | Promise<EncodedParts>;
  /** The result itself, for who calls from within. `event.next` has none. */
  readonly value?: () => unknown;
}

const plain = encodersOf([]);

/** `encoderOf` is the catalog's where the value may hold records. */
export const typedEncoding = (type: Type<any>, value: unknown, encoderOf: EncoderOf = plain): Encoding =>
  Object.assign((format: Format) => [encoderOf(type)[format](value)], { value: () => value });

/** A record, as `get_record` answers. */
export const recordEncoding = (cls: string, row: Row, fragments: Fragments): Encoding =>
  Object.assign((format: Format) => [fragments.record(cls, row, format)], { value: () => row[1].record });

/**
 * Rows as they go over the wire: encoded once for each version, whoever asks and however often. Kept as
 * bytes, which lie outside the heap of JavaScript: its collector need not carry hundreds of megabytes.
 */
export interface Fragments {
  /** A record with its reference before it, as a member of a struct of records. */
  member(cls: string, row: Row, format: Format): Buffer;
  /** The record alone, which is a part of the same bytes. */
  record(cls: string, row: Row, format: Format): Buffer;
}

export type Row = readonly [ref: string, version: Version];

/** How a struct is written around its values. */
const structs = {
  xml: {
    open: '<value><struct>',
    before: (name: string) => `<member><name>${xmlText(name)}</name>`,
    after: '</member>',
    between: '',
    close: '</struct></value>',
  },
  json: { open: '{', before: (name: string) => `${jsonString(name)}:`, after: '', between: ',', close: '}' },
} as const;

export const fragmentsOf = (classes: readonly AnyClass[]): Fragments => {
  const encoderOf = encodersOf(classes);
  const encoders = new Map(classes.map((cls) => [cls.name, recordEncoder(cls.fields, encoderOf)]));
  const member = (cls: string, [ref, version]: Row, format: Format): Buffer => {
    const known = version[format];
    if (known !== undefined) return known;
    const encoder = encoders.get(cls);
    if (encoder === undefined) throw new Error(`There is no class ${cls} to encode a record of`);
    const { before, after } = structs[format];
    const made = Buffer.from(before(ref) + encoder[format](version.record) + after);
    version[format] = made;
    return made;
  };
  return {
    member,
    record: (cls, row, format) => {
      const whole = member(cls, row, format);
      const { before, after } = structs[format];
      return whole.subarray(Buffer.byteLength(before(row[0])), whole.length - after.length);
    },
  };
};

/** A struct of records by reference, as `get_all_records` answers. */
export const recordsEncoding = (
  cls: string,
  rows: readonly Row[],
  fragments: Fragments,
  clock: Clock,
): Encoding => {
  const encode = async (format: Format): Promise<EncodedParts> => {
    const { open, between, close } = structs[format];
    const separator = Buffer.from(between);
    const parts: (string | Buffer)[] = [open];
    await inSlices(clock, rows, (row) => {
      if (parts.length > 1 && separator.length > 0) parts.push(separator);
      parts.push(fragments.member(cls, row, format));
    });
    parts.push(close);
    return parts;
  };
  return Object.assign(encode, { value: () => new Map(rows.map(([ref, { record }]) => [ref, record])) });
};
