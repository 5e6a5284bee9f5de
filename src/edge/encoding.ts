import { jsonString } from '../codec/jsonrpc-writer.ts';
import { encoderOf, recordEncoder } from '../codec/typed.ts';
import { xmlText } from '../codec/xmlrpc-writer.ts';
import type { AnyClass } from '../model/class.ts';
import type { Type } from '../model/types.ts';
import { type Clock, sleep } from '../std/clock.ts';
import type { Version } from '../store/version.ts';

/** The two languages of the edge, named as the fragments of a row are. */
export type Format = 'xml' | 'json';

/** Pieces of text that follow one another. A list of records is too long to be one. */
export type Parts = readonly (string | Uint8Array)[];

/** A result on its way out. What it costs is paid only for the language that the caller speaks. */
export type Encoding = (format: Format) => Parts | Promise<Parts>;

export const typedEncoding =
  (type: Type<any>, value: unknown): Encoding =>
  (format) => [encoderOf(type)[format](value)];

/**
 * A row as it goes over the wire: encoded once for each version, whoever asks and however often. Kept as
 * bytes, which lie outside the heap of JavaScript: its collector need not carry hundreds of megabytes.
 */
export type Fragment = (cls: string, version: Version, format: Format) => Uint8Array;

export const fragmentOf = (classes: readonly AnyClass[]): Fragment => {
  const encoders = new Map(classes.map((cls) => [cls.name, recordEncoder(cls.fields)]));
  return (cls, version, format) => {
    const known = version[format];
    if (known !== undefined) return known;
    const encoder = encoders.get(cls);
    if (encoder === undefined) throw new Error(`There is no class ${cls} to encode a record of`);
    const made = Buffer.from(encoder[format](version.record));
    version[format] = made;
    return made;
  };
};

const sliceMsMax = 10;

/** Between the steps of long work: others have their turn whenever the steps since the last rest took long. */
export interface Pace {
  isOver(): boolean;
  rest(): Promise<void>;
}

export const paceOf = (clock: Clock): Pace => {
  let began = clock.monotonicMs();
  return {
    isOver: () => clock.monotonicMs() - began >= sliceMsMax,
    rest: async () => {
      await sleep(clock, 0);
      began = clock.monotonicMs();
    },
  };
};

/** Visits each item, and lets others have their turn when that takes long. */
export const inSlices = async <T>(
  clock: Clock,
  items: readonly T[],
  visit: (item: T) => void,
): Promise<void> => {
  const pace = paceOf(clock);
  for (const item of items) {
    visit(item);
    if (pace.isOver()) await pace.rest();
  }
};

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

export type Row = readonly [ref: string, version: Version];

/** A struct of records by reference, as `get_all_records` answers. */
export const recordsEncoding =
  (cls: string, rows: readonly Row[], fragment: Fragment, clock: Clock): Encoding =>
  async (format) => {
    const { open, before, after, between, close } = structs[format];
    const parts: (string | Uint8Array)[] = [];
    let glue: string = open;
    await inSlices(clock, rows, ([ref, version]) => {
      parts.push(glue + before(ref), fragment(cls, version, format));
      glue = after + between;
    });
    parts.push(rows.length === 0 ? open + close : after + close);
    return parts;
  };
