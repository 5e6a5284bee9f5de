import type { FaultCode } from '../std/fault.ts';
import type { Since } from './releases.ts';
import type { Infer, Ref, Type } from './types.ts';

/** Least role first: a session may send a message when its rank is at least the message's. */
export const roles = [
  'read-only',
  'vm-operator',
  'vm-admin',
  'vm-power-admin',
  'pool-operator',
  'pool-admin',
  '_local_root_',
] as const;
export type Role = (typeof roles)[number];

/** Roles that guard single keys of a map, such as `{ pci: 'pool-admin' }`; a trailing `*` is a wildcard. */
export type KeyRoles = Readonly<Record<string, Role>>;

/**
 * `RW`: clients set it. `RO`: given to the constructor and fixed from then on. `DYN`: Xenact's to
 * change. A field of the wire is never anything else.
 */
export type Access = 'RW' | 'RO' | 'DYN';

/**
 * What becomes of a row when one that it names goes. `cleared`: it names it no more, in the same commit.
 * `goes too`: it goes as well, in the same commit, unless its behaviour `spare`s it. `collected`: it is left
 * as it is until the collector removes it, as its class `needs` what the field names. `stays`: the name is a
 * record of what was.
 */
export type Gone = 'cleared' | 'goes too' | 'collected' | 'stays';

export interface FieldOptions<T = any> {
  /**
   * Value of a new row where the constructor is not told otherwise. Without one, an RW or RO field is
   * mandatory.
   */
  readonly default?: T;
  /** False: kept in memory and in the feed only, and back at its default after a restart. */
  readonly persist?: false;
  /** The field at the other end of the relation, `VBD.VM`. The store keeps both ends. */
  readonly inverse?: string;
  /** Derived by the store from the other end of the relation; nobody writes it. */
  readonly computed?: true;
  /** Of a field that holds references and is not `computed`, which must say it. */
  readonly gone?: Gone;
  /** Holds references, by which the store finds the rows that have them, however many others there are. */
  readonly indexed?: true;
  /** Never on the wire. */
  readonly internal?: true;
  /** Xenact's own, and internal: the XenAPI has no such field. */
  readonly ours?: true;
  /** Its getter and setters answer MESSAGE_REMOVED; records still carry the field. */
  readonly removed?: true;
  /** Least role to set the field; absent: the class's `writeRole`. */
  readonly writeRole?: Role;
  /** Least role to read the field; absent: the class's `readRole`. */
  readonly readRole?: Role;
  readonly keyRoles?: KeyRoles;
  /** May be set, beside the roles, by clients that prove themselves by a certificate. */
  readonly certificate?: true;
  /** Name in faults where it differs from the name on the wire: `name__label`. */
  readonly column?: string;
}

export interface Field<T = any> extends FieldOptions<T> {
  readonly access: Access;
  readonly type: Type<T>;
  readonly doc: string;
}

export const rw = <T>(type: Type<T>, doc: string, options: FieldOptions<NoInfer<T>> = {}): Field<T> => ({
  access: 'RW',
  type,
  doc,
  ...options,
});
export const ro = <T>(type: Type<T>, doc: string, options: FieldOptions<NoInfer<T>> = {}): Field<T> => ({
  access: 'RO',
  type,
  doc,
  ...options,
});
export const dyn = <T>(type: Type<T>, doc: string, options: FieldOptions<NoInfer<T>> = {}): Field<T> => ({
  access: 'DYN',
  type,
  doc,
  ...options,
});

/**
 * Type, sentence and, for a parameter that may be left out at the end, its default. A type made by
 * `confidential` keeps its values out of logs.
 */
export type Param = readonly [type: Type<any>, doc: string, defaultValue?: unknown];
export type Params = Readonly<Record<string, Param>>;

export interface Message {
  readonly doc: string;
  readonly role: Role;
  /** Name of the first parameter where that is a reference to an object of the class itself. */
  readonly self?: string;
  /** The other parameters; position on the wire is position in the literal. */
  readonly params?: Params;
  readonly result?: Type<any>;
  readonly errors?: readonly FaultCode[];
  /** May be called with the prefix `Async.` and then answers with a task. */
  readonly async?: true;
  /** Needs no session. */
  readonly sessionless?: true;
  readonly removed?: true;
  /** May be called, beside the roles, by clients that prove themselves by a certificate. */
  readonly certificate?: true;
  /** Only hosts of the pool may call it. */
  readonly poolInternal?: true;
  /** Answered even in emergency mode. */
  readonly emergency?: true;
  /** Ends work, gives room back or hands over: done also while the disk of the data folder is nearly full. */
  readonly frees?: true;
  /** Answered by a member of a pool itself, never passed on to its coordinator. */
  readonly onMember?: true;
  readonly hidden?: true;
  /** None of its arguments is ever shown in logs, the harmless ones included. */
  readonly secret?: true;
  readonly keyRoles?: KeyRoles;
}

/** What clients ask for by HTTP beside calls, as bytes. Its permission is `http/` and its name. */
export interface Action {
  readonly method: 'GET' | 'PUT' | 'POST' | 'CONNECT' | 'OPTIONS';
  readonly path: string;
  readonly role: Role;
  readonly doc: string;
  /** Clients that prove themselves by a certificate may too. */
  readonly certificate?: true;
  /** Anybody is let in; what is done there checks for itself. */
  readonly open?: true;
  /** Parts of it that need more, such as the console of the host among those of guests. */
  readonly parts?: Readonly<Record<string, Role>>;
  /** What the query calls the object of the class that it is for, by reference or by uuid. */
  readonly self?: string;
  /** What else the query may say, each with a default where it may be left out. */
  readonly params?: Params;
  /** Of its task. Absent: none. */
  readonly result?: Type<unknown>;
  /** Label of the task that it has where the client names none. Absent: it has none of its own. */
  readonly task?: string;
  /** Bytes go both ways as long as it lasts: by CONNECT, or by a WebSocket where it is a GET. */
  readonly duplex?: true;
  /** Done by the host that is asked, and not where an object lives. */
  readonly onMember?: true;
  /** Who asked is written down although it only reads: what it gives is secret. */
  readonly audited?: true;
}
export type Actions = Readonly<Record<string, Action>>;

export const action = <const M extends Partial<Action> = object>(
  method: Action['method'],
  path: string,
  role: Role,
  doc: string,
  more: M = {} as M,
): Pick<Action, 'method' | 'path' | 'role' | 'doc'> & M => ({ method, path, role, doc, ...more });

export type Fields = Readonly<Record<string, Field>>;
export type Messages = Readonly<Record<string, Message>>;

/** What one user may hold of a class. */
export interface Allowance {
  readonly rowsMax: number;
  /** Of what the rows hold, small rows not weighed. */
  readonly bytesMax: number;
}

export interface ClassSpec<F, M, A = Actions> {
  readonly doc: string;
  /** For documentation: when the XenAPI came to have the class and what is in it. */
  readonly since?: Since;
  readonly fields: F;
  readonly messages: M;
  readonly actions?: A;
  /** Least role for reading and for the implicit messages. Default: read-only. */
  readonly readRole?: Role;
  /** Least role for setters, the constructor and the destructor. */
  readonly writeRole: Role;
  /** False: has no rows in the database and no implicit messages. */
  readonly inDatabase?: false;
  /** False: by the XenAPI, nothing of it survives a restart. */
  readonly persist?: false;
  /** True: its durable rows are kept here all the same, so that work is not forgotten with the program. */
  readonly survives?: true;
  /**
   * What an object cannot be without: its own fields that name rows (`VM`), or fields of others that name
   * it (`host.metrics`). Of a list, one is enough. The collector removes an object that has lost one.
   */
  readonly needs?: readonly (string | readonly string[])[];
  /** Fields whose rows are nothing without the object and go with it, whoever removes it. */
  readonly takes?: readonly string[];
  /** Of the rows whose `holder` is one user. What a call would add beyond it is refused. */
  readonly allowance?: Allowance;
  /** True: served with `create` and `destroy`. */
  readonly constructible?: true;
  /** False: no `get_all` and its kin. */
  readonly listed?: false;
  /** False: changes are not events. */
  readonly events?: false;
  /** True: rows that hosts keep for themselves; nothing of it is on the wire. */
  readonly internal?: true;
  /** True: records are no longer served; every implied message about them answers MESSAGE_REMOVED. */
  readonly removed?: true;
}

export interface Class<N extends string = string, F = Fields, M = Messages, A = Actions>
  extends ClassSpec<F, M, A> {
  readonly name: N;
}
export type AnyClass = Class<string, Fields, Messages>;

/** Declare a class. Nothing runs: the value is data, and everything else is read off it. */
export const defineClass = <
  const N extends string,
  F extends Fields,
  const M extends Messages,
  const A extends Actions = Readonly<Record<never, Action>>,
>(
  name: N,
  spec: ClassSpec<F, M, A>,
): Class<N, F, M, A> => ({ name, ...spec });

/** Filled in by the class files, one line each, so that any actor can call any other by name. */
export interface Classes {}
export type ClassName = keyof Classes & string;

export type RecordOf<C> = C extends { fields: infer F extends Fields }
  ? { readonly [K in keyof F]: Infer<F[K]['type']> }
  : never;
/** The record of a class by the class's name: `RecordNamed<'VM'>`. */
export type RecordNamed<C extends ClassName> = RecordOf<Classes[C]>;

export type ArgsOf<M> = M extends { params: infer P extends Params }
  ? { readonly [K in keyof P]: Infer<P[K][0]> }
  : Readonly<Record<string, never>>;
export type ResultOf<M> = M extends { result: Type<infer R> } ? R : void;

/** `'VM.start' | 'VDI.snapshot' | ...`: the wire name is the name in the code, so grep finds both. */
export type Method = {
  [C in ClassName]: Classes[C] extends AnyClass ? `${C}.${keyof Classes[C]['messages'] & string}` : never;
}[ClassName];

type Split<M> = M extends `${infer C extends ClassName}.${infer K}`
  ? Classes[C] extends AnyClass
    ? K extends keyof Classes[C]['messages']
      ? { cls: C; message: Classes[C]['messages'][K] }
      : never
    : never
  : never;

/**
 * The one way to reach an object, wherever it is. Messages without a `self` are called on the null reference.
 */
export type Call = <M extends Method>(
  method: M,
  self: Ref<Split<M>['cls']>,
  args: ArgsOf<Split<M>['message']>,
) => Promise<ResultOf<Split<M>['message']>>;
