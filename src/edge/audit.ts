import { createHash } from 'node:crypto';
import type { HttpHead } from '../drivers/http/http.ts';
import type { AnyClass } from '../model/class.ts';
import type { WireMessage } from '../model/derive.ts';
import { nullRef, type Type } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import type { HttpAction } from '../objects/http-actions.ts';
import type { Caller } from '../objects/implement.ts';
import type { Clock } from '../std/clock.ts';
import type { Fault } from '../std/fault.ts';
import { isDateTime } from '../std/value.ts';
import type { Table } from '../store/table.ts';

/** Where lines of the audit log are kept. */
export interface AuditTrail {
  /** Takes a line without its end. Never fails and never waits. */
  add(line: string): void;
  /** Every line that is still kept, oldest first. */
  read(): AsyncIterable<Uint8Array>;
}

export interface Audited {
  readonly caller: Caller;
  /** Address of the client. */
  readonly from: string;
  /** Name of the message, or the permission of an HTTP action. */
  readonly method: string;
  readonly args: object;
  readonly task?: string;
  /** `success`, `started` of a call that answers with a task, or the code of a fault. */
  readonly outcome: string;
}

export interface Audit {
  /** Whether the message may change something, and is written down. */
  wants(message: WireMessage): boolean;
  /** Arguments as they may be shown: secrets are hidden, long texts and lists are cut. */
  shown(message: WireMessage, args: readonly unknown[]): object;
  add(audited: Audited): void;
  /** The same for what was asked for by HTTP; what only reads is left out. */
  addAction(action: HttpAction, head: HttpHead, caller: Caller, fault: Fault | undefined): void;
}

export interface AuditOptions {
  readonly catalog: Catalog;
  readonly trail: Pick<AuditTrail, 'add'>;
  readonly clock: Clock;
  /** The rows, by class: a reference is shown when it names one. */
  readonly rows: Rows;
}

type Rows = ReadonlyMap<string, Pick<Table, 'committed' | 'byUuid'>>;

/** Characters of one text, members of one list or map, and characters of all arguments of a call. */
export const shownCharsMax = 256;
export const shownMembersMax = 64;
export const shownArgsCharsMax = 8_192;

const hidden = '(hidden)';
/** Plugins choose codes of faults. */
const outcomeForm = /^[A-Za-z0-9_]{1,128}$/;

const changing: ReadonlySet<WireMessage['kind']> = new Set([
  'setter',
  'adder',
  'remover',
  'constructor',
  'destructor',
]);

/** Writes down who changed what: one line of JSON for each call that may change something. */
export const auditOf = ({ catalog, trail, clock, rows }: AuditOptions): Audit => {
  const wanted = new Set(catalog.messages.filter((message) => mayChange(catalog, message)));
  const show = shower(new Map(catalog.classes.map((cls) => [cls.name, cls])), rows);
  const add: Audit['add'] = ({ caller, from, method, args, task, outcome }) => {
    const text = JSON.stringify(args);
    trail.add(
      JSON.stringify({
        at: new Date(clock.now()).toISOString(),
        user: caller.user,
        session: caller.session === nullRef ? undefined : sessionMark(caller.session),
        originator: cut(caller.originator),
        from,
        method,
        args: text.length > shownArgsCharsMax ? `(${text.length} characters)` : args,
        task,
        outcome: outcomeForm.test(outcome) ? outcome : 'INTERNAL_ERROR',
      }),
    );
  };
  return {
    add,
    wants: (message) => wanted.has(message),
    shown: ({ params }, args) =>
      Object.fromEntries(
        params.map(({ name, type, secret }, i) => [name, secret ? hidden : show(type, args[i])]),
      ),
    addAction: (action, { query, remoteAddress }, caller, fault) => {
      if (action.method === 'GET' && !action.name.startsWith('connect_')) return;
      const args = Object.fromEntries(
        [...query]
          .slice(0, shownMembersMax)
          .map(([name, value]) => [cut(name), namesObject(rows, value) ? value : hidden]),
      );
      const outcome = fault?.code ?? 'success';
      add({ caller, from: remoteAddress, method: `http/${action.name}`, args, outcome });
    },
  };
};

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

const mayChange = (catalog: Catalog, message: WireMessage): boolean => {
  if (message.cls.name === 'event' || message.removed) return false;
  const handler = catalog.handler(message);
  if (handler !== undefined) return !('read' in handler);
  return changing.has(message.kind);
};

const cut = (text: string): string =>
  text.length > shownCharsMax ? `${text.slice(0, shownCharsMax)}...` : text;

type Show = (type: Type<any>, value: any) => unknown;

/** What is not in the rows may be anything, such as a password in the wrong place. */
const absent = '(no such object)';

/**
 * Shows values by their types. What a type bounds is shown: numbers, flags, dates, enumerations, references
 * that name an object. A text that a client chose is hidden unless it is declared as `shown`, so of a free
 * map only the keys are seen.
 */
const shower = (classes: ReadonlyMap<string, AnyClass>, rows: Rows): Show => {
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

const refShown = (rows: Rows, cls: string, ref: string): string => {
  if (ref === nullRef || ref === '') return ref;
  if (rows.get(cls)?.committed(ref) === undefined) return absent;
  return cls === 'session' ? sessionMark(ref) : ref;
};

const keyShown = (rows: Rows, type: Type<any>, key: unknown): string =>
  type.key?.kind === 'ref' ? refShown(rows, type.key.of ?? '', String(key)) : cut(String(key));

/** An object by reference or by uuid. */
const namesObject = (rows: Rows, text: string): boolean =>
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
