import type { HttpHead } from '../drivers/http/http.ts';
import type { WireMessage } from '../model/derive.ts';
import { nullRef } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import type { HttpAction } from '../objects/http-actions.ts';
import type { Caller } from '../objects/implement.ts';
import {
  cut,
  hidden,
  namesObject,
  type ShownRows,
  sessionMark,
  shower,
  shownMembersMax,
} from '../objects/shown.ts';
import type { Clock } from '../std/clock.ts';
import type { Fault } from '../std/fault.ts';

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
  readonly rows: ShownRows;
}

/** Characters of all arguments of a call. */
export const shownArgsCharsMax = 8_192;

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
      const reads = action.method === 'GET' && !action.name.startsWith('connect_');
      if (reads && action.audited !== true) return;
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

const mayChange = (catalog: Catalog, message: WireMessage): boolean => {
  if (message.cls.name === 'event' || message.removed) return false;
  const handler = catalog.handler(message);
  if (handler !== undefined) return !('read' in handler);
  return changing.has(message.kind);
};
