import { createHash } from 'node:crypto';
import type { AnyClass } from '../model/class.ts';
import { nullRef, type Type } from '../model/types.ts';
import { isDateTime } from '../std/value.ts';
import type { Table } from '../store/table.ts';

// What of a value may be shown to whoever reads logs and reports, and not what it is about.

/** The rows, by class: a reference is shown when it names one. */
export type ShownRows = ReadonlyMap<string, Pick<Table, 'committed' | 'byUuid'>>;

/** Characters of one text, and members of one list or map. */
export const shownCharsMax = 256;
export const shownMembersMax = 64;

export const hidden = '(hidden)';

/** Tells sessions apart without giving them away: a reference to a session is all that a thief needs. */
export const sessionMark = (session: string): string => {
  const known = marks.get(session);
  if (known !== undefined) return known;
  const mark = createHash('sha256').update(session).digest('hex').slice(0, 16);
  if (marks.size >= marksMax) marks.clear();
  marks.set(session, mark);
  return mark;
};

/** Every change is written down, and one session makes many. */
const marksMax = 1_024;
const marks = new Map<string, string>();

export const cut = (text: string): string =>
  text.length > shownCharsMax ? `${text.slice(0, shownCharsMax)}...` : text;

type Show = (type: Type<any>, value: any) => unknown;

/** What is not in the rows may be anything, such as a password in the wrong place. */
const absent = '(no such object)';

/**
 * Shows values by their types. What a type bounds is shown: numbers, flags, dates, enumerations, references
 * that name an object. A text that a client chose is hidden unless it is declared as `shown`, so of a free
 * map only the keys are seen.
 */
export const shower = (classes: ReadonlyMap<string, AnyClass>, rows: ShownRows): Show => {
  const members = (entries: Iterable<readonly [string, unknown]>): object =>
    Object.fromEntries([...entries].slice(0, shownMembersMax));
  const show: Show = (type, value) => {
    if (type.secret === true) return hidden;
    if (value === undefined || value === null) return undefined;
    switch (type.kind) {
      case 'ref':
        return refShown(rows, type.of ?? '', value);
      case 'set':
        return value.slice(0, shownMembersMax).map((one: unknown) => show(item(type), one));
      case 'map':
        return members([...value].map(([key, one]) => [keyShown(rows, type, key), show(item(type), one)]));
      case 'record': {
        const fields = classes.get(type.of ?? '')?.fields ?? {};
        return members(
          [...value].flatMap(([name, one]) =>
            Object.hasOwn(fields, name) ? [[name, given(show, fields[name]!.type, one)]] : [],
          ),
        );
      }
      case 'option':
        return show(item(type), value);
      case 'string':
        return type.shown === true ? cut(value) : hidden;
      case 'int':
        return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
      case 'datetime':
        return isDateTime(value) ? value.dateTime : value;
      default:
        return value;
    }
  };
  return show;
};

const refShown = (rows: ShownRows, cls: string, ref: string): string => {
  if (ref === nullRef || ref === '') return ref;
  if (rows.get(cls)?.committed(ref) === undefined) return absent;
  return cls === 'session' ? sessionMark(ref) : ref;
};

const keyShown = (rows: ShownRows, type: Type<any>, key: unknown): string =>
  type.key?.kind === 'ref' ? refShown(rows, type.key.of ?? '', String(key)) : cut(String(key));

/** An object by reference or by uuid. */
export const namesObject = (rows: ShownRows, text: string): boolean =>
  [...rows].some(
    ([cls, table]) =>
      cls !== 'session' &&
      cls !== 'secret' &&
      (table.committed(text) !== undefined || table.byUuid(text) !== undefined),
  );

/** A member of a constructor's struct, which is not yet what its type says. */
const given = (show: Show, type: Type<unknown>, value: unknown): unknown =>
  type.secret === true ? hidden : show(type, type.read(value as never, ''));

const item = (type: Type<any>): Type<unknown> => type.item as Type<unknown>;
