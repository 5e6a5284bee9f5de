import type {
  Action,
  AnyClass,
  ArgsOf,
  Call,
  ClassName,
  Messages,
  RecordNamed,
  ResultOf,
  Role,
} from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Fault } from '../std/fault.ts';
import type { Tx, View } from '../store/view.ts';
import type { Hold } from './busy.ts';
import type { Client } from './client.ts';
import type { Services } from './services.ts';

/** Who asks. Nested calls keep the caller of the outermost one. */
export interface Caller {
  readonly session: Ref<'session'>;
  /** Name for people and for the audit log. */
  readonly user: string;
  readonly role: Role;
  readonly originator: string;
  /** The address that the call came from; absent: it is this host's own. */
  readonly address?: string;
  /** A storage driver calls back, for this repository alone: the null reference for none. */
  readonly driverOf?: Ref<'SR'>;
  /** Work on a VM makes it: until that work says otherwise, what comes of it is a leftover of the VM. */
  readonly madeFor?: { readonly vm: Ref<'VM'>; readonly host: Ref<'host'> };
}

/** What a read is given: committed rows, as clients see them. */
export interface Reading {
  readonly view: View;
  readonly self: Ref;
  readonly caller: Caller;
  readonly services: Services;
}

/** What a decision is given. It runs in one turn of the object's mailbox and must not wait for anything. */
export interface Deciding {
  readonly tx: Tx;
  readonly self: Ref;
  readonly caller: Caller;
  readonly services: Services;
}

/** What the choice of a place is given: a decision of the object at its present home. */
export interface Placing extends Deciding {}

/** How work comes to the host that does it, where this is not simply where its object lives. */
export interface Placement<A> {
  /** The host where rows leave no choice: what keeps the work from running there it will find itself. */
  readonly only?: (view: View) => Ref<'host'> | undefined;
  /** Answers the host, having noted it in the rows so that the object's home is there. */
  readonly choose: (placing: Placing, args: A) => Ref<'host'>;
  /** Takes the note back after work that could not begin, or failed. Asked when it may be gone already. */
  readonly release: (tx: Tx, self: Ref, host: Ref<'host'>) => void;
}

/** What work is given. It runs outside the mailbox and may take as long as it needs. */
export interface Working<C extends ClassName> {
  readonly self: Ref<C>;
  /** The row as it is at the time of reading; throws HANDLE_INVALID once it is gone. */
  readonly record: RecordNamed<C>;
  /** Latest rows, commits on their way to disk included. */
  readonly view: View;
  readonly caller: Caller;
  readonly services: Services;
  /** The task that this work reports to; the null reference for work that nobody watches. */
  readonly task: Ref<'task'>;
  readonly signal: AbortSignal;
  /** From 0 to 1. */
  progress(fraction: number): void;
  /** Taken back, newest first, when the work fails or is cancelled. */
  undo(step: () => unknown): void;
  readonly call: Call;
  /** The same for calls that make disks for a VM, which are noted as its leftovers from the first on. */
  making(vm: Ref<'VM'>): Call;
  /**
   * Keeps another row busy until this work has settled, however it ends: for one that is only known in the
   * middle of it, as others are declared as `holds`. Throws why it cannot be held. A busy row is not waited
   * for, as whoever has it may wait for this work.
   */
  hold(row: Hold): Promise<void>;
  /**
   * A durable step in the middle of the work. Where it must be taken back on failure, say how with `undo`.
   */
  commit<T>(make: (tx: Tx) => T): Promise<T>;
  /** Adds to the one commit that settles this work. */
  settle(make: (tx: Tx) => void): void;
}

/**
 * How one message is done. `read` answers from committed rows and never enters a mailbox; `decide` is a
 * commit in one turn; `work` is admitted, runs, and settles in one commit.
 */
export type Handler<C extends ClassName, A, R> =
  | {
      readonly read: (reading: Reading, args: A) => R | Promise<R>;
      /** Looks at the machine where the object lives, and not only at rows. */
      readonly at?: 'home';
      /** The row whose home that is, where the message has no `self`. */
      readonly on?: (args: A, view: View) => Ref;
    }
  | {
      readonly decide: (deciding: Deciding, args: A) => R;
      /** The row whose actor decides, where the message has no `self`. */
      readonly on?: (args: A, view: View) => Ref;
    }
  | Worked<C, A, R>;

interface Worked<C extends ClassName, A, R> extends Admitted<C, A> {
  readonly work: (working: Working<C>, args: A) => Promise<R>;
  readonly at?: Placement<A>;
  /** Needs rows only: while the host of the object is out of reach the coordinator does it. */
  readonly offline?: true;
}

/** What work says of itself before it begins. */
interface Admitted<C extends ClassName, A> {
  /** Name in `current_operations`; without it the work conflicts with nothing. */
  readonly operation?: string;
  /** True where the caller wants it also of a guest that cannot answer or that may not stand it. */
  readonly insists?: (args: A) => boolean;
  readonly cuts?: readonly string[];
  /** The row that does the work, where the message has no `self`. */
  readonly on?: (args: A, view: View) => Ref;
  /**
   * Other rows that are busy while it runs. Admitted with the work's own, so that it begins once all of them
   * are free. Pure.
   */
  readonly holds?: (args: A, view: View, self: Ref<C>) => readonly Hold[];
  /** Refusals that depend on the arguments. Pure, asked at admission. */
  readonly unless?: (view: View, self: Ref<C>, args: A) => Fault | undefined;
}

/** How an action is done: as work, with the bytes of a client, on the host where its object lives. */
export interface ActionHandler<C extends ClassName, A> extends Admitted<C, A> {
  readonly stream: (working: Working<C>, args: A, client: Client) => Promise<unknown>;
  /** The part of the action that it is, where that needs more than the action. Pure. */
  readonly part?: (args: A, view: View) => string | undefined;
}

export type AnyHandler = Handler<any, any, any> | ActionHandler<any, any>;

type FieldName<C extends AnyClass> = keyof C['fields'] & string;

type ImplicitName<C extends AnyClass> =
  | 'create'
  | 'destroy'
  | 'get_record'
  | 'get_by_uuid'
  | 'get_by_name_label'
  | 'get_all'
  | 'get_all_where'
  | 'get_all_records'
  | 'get_all_records_where'
  | `${'get' | 'set' | 'add' | 'remove' | 'add_to' | 'remove_from'}_${FieldName<C>}`;

type ActionsOf<C extends AnyClass> = NonNullable<C['actions']>;
type Params<A> = A extends Pick<Action, 'path'> ? ArgsOf<A> : never;

/** Messages that the class declares, and implicit ones that need more than their field. */
type Handlers<C extends AnyClass & { readonly name: ClassName }> = {
  readonly [K in keyof C['messages'] | ImplicitName<C>]?: K extends keyof C['messages']
    ? Handler<C['name'], ArgsOf<C['messages'][K]>, ResultOf<C['messages'][K]>>
    : Handler<any, any, any>;
};

/** Actions that the class declares. */
type Streams<C extends AnyClass & { readonly name: ClassName }> = {
  readonly [K in keyof ActionsOf<C>]?: ActionHandler<C['name'], Params<ActionsOf<C>[K]>>;
};

export interface Behaviour<N extends ClassName = ClassName> {
  readonly cls: AnyClass;
  /** The row whose actor owns a row of this class, where it is not the row itself. */
  readonly owner?: (record: RecordNamed<N>) => readonly [cls: ClassName, ref: Ref];
  /**
   * The host where the actor of a row lives: the coordinator where nothing is said. Only asked of rows that
   * own themselves.
   */
  readonly home?: (view: View, self: Ref<N>, record: RecordNamed<N>) => Ref<'host'> | undefined;
  /**
   * Why an operation of `current_operations` may not begin, from rows alone. OTHER_OPERATION_IN_PROGRESS
   * makes the caller wait, everything else is the answer. Who `insists` is spared what only protects guests.
   */
  readonly admit?: (view: View, self: Ref<N>, operation: string, insists: boolean) => Fault | undefined;
  /**
   * Fields that follow from rows, such as `allowed_operations`. Runs inside each commit that touches them.
   */
  readonly derive?: (view: View, self: Ref<N>, record: RecordNamed<N>) => Partial<RecordNamed<N>>;
  /** Rows whose derived fields depend on this one. */
  readonly affects?: (record: RecordNamed<N>, view: View) => readonly (readonly [cls: ClassName, ref: Ref])[];
  /**
   * Asked of a row that lacks something its class `needs`: true keeps it, with what this has changed of it
   * so that it can live on.
   */
  readonly spare?: (tx: Tx, self: Ref<N>, record: RecordNamed<N>) => boolean;
  readonly handlers: Readonly<Record<string, AnyHandler>>;
}

export const implement = <
  const C extends AnyClass & { readonly name: ClassName; readonly messages: Messages },
>(
  cls: C,
  rules: Omit<Behaviour<C['name']>, 'cls' | 'handlers'>,
  handlers: Handlers<C>,
  streams?: Streams<C>,
): Behaviour<C['name']> => ({
  ...{ cls, ...rules },
  handlers: { ...handlers, ...streams } as Readonly<Record<string, AnyHandler>>,
});
