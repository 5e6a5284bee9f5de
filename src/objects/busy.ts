import type { ClassName } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Tx, View } from '../store/view.ts';

// Rows are busy with what stands in their `current_operations`: work puts it there when it begins, of its own
// row and of every other row that it holds, and takes it out in the commit that settles it. Nothing else
// writes that field for work, so that whoever ends work which nobody settles any more finds all of it by its
// keys.

/** A row that work keeps to itself, and as what it is busy. */
export interface Hold {
  readonly cls: ClassName;
  readonly ref: Ref;
  readonly operation: string;
  /** Who asks for it wants it whatever becomes of a guest. */
  readonly insists?: boolean;
  /** Refusals beside those of the row's class. Pure. */
  readonly unless?: (view: View) => Fault | undefined;
}

/** Whose work it is. Without `id`, any that this host did for the task. */
export interface Worker {
  readonly task: Ref<'task'>;
  readonly host: Ref<'host'>;
  readonly id?: number;
}

/** The rules of classes. */
interface Rules {
  behaviour(cls: string): { readonly admit?: Admit } | undefined;
}
type Admit = (view: View, ref: Ref<any>, operation: string, insists: boolean) => Fault | undefined;

/** Why a row cannot be held now. */
export const holdRefusal = (
  { behaviour }: Rules,
  view: View,
  { cls, ref, operation, insists = false, unless }: Hold,
): Fault | undefined => {
  if (view.get(cls, ref as Ref<any>) === undefined) return new Fault('HANDLE_INVALID', [cls, ref]);
  return behaviour(cls)?.admit?.(view, ref as Ref<any>, operation, insists) ?? unless?.(view);
};

/** What work that has no task is known by, in form a reference to none. */
const keyAlone = ({ host, id }: Worker): string => `DummyRef:|${host}/${id}|`;
const hostIn = (key: string): Ref<'host'> | undefined =>
  /^DummyRef:\|(.+)\/\d+\|$/.exec(key)?.[1] as Ref<'host'> | undefined;

const operationsOf = (
  tx: Tx,
  { cls, ref }: Pick<Hold, 'cls' | 'ref'>,
): ReadonlyMap<string, string> | undefined => {
  const record = tx.get(cls, ref as Ref<any>) as AnyRecord | undefined;
  return record?.['current_operations'] as ReadonlyMap<string, string> | undefined;
};

const patch = (
  tx: Tx,
  { cls, ref }: Pick<Hold, 'cls' | 'ref'>,
  operations: ReadonlyMap<string, string>,
): void => tx.patch(cls, ref as Ref<any>, { current_operations: operations } as never);

/**
 * Notes that a row is busy, under the task of the work where that can be: of two calls of one task that work
 * on one row, the inner has a key of its own.
 */
export const mark = (tx: Tx, hold: Hold, worker: Worker): void => {
  const operations = operationsOf(tx, hold);
  if (operations === undefined) return;
  const { task } = worker;
  const key = task === nullRef || operations.has(task) ? keyAlone(worker) : task;
  patch(tx, hold, new Map([...operations, [key, hold.operation]]));
};

/** Takes that out again, if it is still there. */
export const unmark = (tx: Tx, hold: Hold, { task, host, id }: Worker): void => {
  const operations = operationsOf(tx, hold);
  if (operations === undefined) return;
  const isAlone = (key: string): boolean =>
    id === undefined ? hostIn(key) === host : key === keyAlone({ task, host, id });
  const keys = [...operations].filter(([, one]) => one === hold.operation).map(([key]) => key);
  const mine = keys.find(isAlone) ?? keys.find((key) => key === task);
  if (mine !== undefined) patch(tx, hold, new Map([...operations].filter(([key]) => key !== mine)));
};

/**
 * Frees every row of work that nobody settles any more: that of these tasks, and that of hosts without one.
 */
export const freeAll = (
  store: Pick<Store, 'tables'>,
  tx: Tx,
  tasks: ReadonlySet<string>,
  isGone: (host: Ref<'host'>) => boolean,
): void => {
  const isOver = (key: string): boolean => {
    const host = hostIn(key);
    return tasks.has(key) || (host !== undefined && isGone(host));
  };
  for (const [name, { schema }] of store.tables) {
    const cls = name as ClassName;
    // What stands there of a task is what is done to the task itself.
    if (!schema.fieldNames.includes('current_operations') || cls === 'task') continue;
    for (const [ref] of [...tx.all(cls)]) {
      const operations = operationsOf(tx, { cls, ref });
      if (operations === undefined || ![...operations.keys()].some(isOver)) continue;
      patch(tx, { cls, ref }, new Map([...operations].filter(([key]) => !isOver(key))));
    }
  }
};
