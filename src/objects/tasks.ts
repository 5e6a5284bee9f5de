import type { RecordNamed } from '../model/class.ts';
import { permits } from '../model/derive.ts';
import { bytesMaxOf, fitting } from '../model/sizes.ts';
import { dateTimeOf, longText, millisecondsOf, nullRef, type Ref, string, upTo } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { Tx, View } from '../store/view.ts';
import { excessOf, holderOf, loadOf, rowsHeld } from './holdings.ts';
import type { Caller } from './implement.ts';
import { anyTask } from './roles.ts';
import type { Services } from './services.ts';

/**
 * How a call is watched: not at all, by a row that lives as long as the call, or by one that the client
 * destroys.
 */
export type Watched = 'untracked' | 'while-running' | 'until-destroyed';

type Task = RecordNamed<'task'>;

/** Tasks of one user, open and ended, and what is in them. At the limit the ones that ended first go. */
export const tasksOfUser = { rowsMax: 4_000, bytesMax: 16 * 1_048_576 };
/** Tasks of all users. Beyond it, only who has few can have more. */
export const tasksMax = 16_000;
export const tasksFewMax = 100;

export interface NewTask {
  readonly label: string;
  readonly description?: string;
  readonly cancellable: boolean;
  readonly watched: Watched;
  readonly caller: Caller;
  /** The task that this one is a part of. One that there is not is left out. */
  readonly parent?: Ref<'task'>;
  readonly otherConfig?: ReadonlyMap<string, string>;
  /** Made by a client for work of its own. */
  readonly byHand?: true;
}

export const isOpen = ({ status }: Pick<Task, 'status'>): boolean =>
  status === 'pending' || status === 'cancelling';

const olderFirst = ([, a]: Row, [, b]: Row): number =>
  millisecondsOf(a.finished) - millisecondsOf(b.finished);
type Row = readonly [Ref<'task'>, Task];

/**
 * Removes what one user's tasks are too many or too large, of those that have ended the ones that did so
 * first. True if the rest is within what a user may hold.
 */
const makeRoom = (tx: Tx, holder: string): boolean => {
  const rows = rowsHeld(tx, 'task', holder);
  let { rows: tooMany, bytes: tooHeavy } = excessOf(
    rows.map(([, record]) => record),
    tasksOfUser,
  );
  if (tooMany === 0 && tooHeavy === 0) return true;
  for (const [ref, record] of rows.filter(([, one]) => !isOpen(one)).toSorted(olderFirst)) {
    const load = loadOf(record);
    if (tooMany <= 0 && (tooHeavy <= 0 || load === 0)) continue;
    tooMany -= 1;
    tooHeavy -= load;
    tx.delete('task', ref);
  }
  return tooMany <= 0 && tooHeavy <= 0;
};

/** After a change by a client. Throws TOO_MANY_PENDING_TASKS when its user has too much in open tasks. */
export const assertTaskRoom = (tx: Tx, { holder }: Pick<Task, 'holder'>): void => {
  if (!makeRoom(tx, holder)) throw new Fault('TOO_MANY_PENDING_TASKS');
};

/** One user's tasks are within bounds, and so are those of all, unless this user has few of them. */
const admit = (tx: Tx, services: Pick<Services, 'store'>, holder: string): void => {
  assertTaskRoom(tx, { holder });
  const all = services.store.tables.get('task')?.entries.size ?? 0;
  if (all < tasksMax || rowsHeld(tx, 'task', holder).length <= tasksFewMax) return;
  const [oldest] = rowsHeld(tx, 'task', holder)
    .filter(([, one]) => !isOpen(one))
    .toSorted(olderFirst);
  if (oldest === undefined) throw new Fault('TOO_MANY_PENDING_TASKS');
  tx.delete('task', oldest[0]);
};

/** A reference fit for a new row: nobody has it yet and nobody can guess it. */
export const newRef = <C extends string>(services: Pick<Services, 'random'>): Ref<C> =>
  `OpaqueRef:${services.random.uuid()}` as Ref<C>;

/** Throws TOO_MANY_PENDING_TASKS when its user has too many, or all have and this user not just a few. */
export const createTask = (tx: Tx, task: Ref<'task'>, services: Services, spec: NewTask): void => {
  const parent = spec.parent ?? (nullRef as Ref<'task'>);
  const holder = holderOf(tx, spec.caller);
  tx.create(
    'task',
    task,
    {
      uuid: services.random.uuid(),
      name_label: spec.label,
      name_description: spec.description ?? '',
      created: dateTimeOf(services.clock.now()),
      status: 'pending',
      session: spec.caller.session,
      holder,
      by_hand: spec.byHand === true,
      resident_on: services.host,
      progress: 0,
      type: '<none/>',
      allowed_operations: spec.cancellable ? ['cancel'] : [],
      subtask_of: tx.get('task', parent) === undefined ? nullRef : parent,
      other_config: spec.otherConfig ?? new Map(),
    },
    { durable: spec.watched === 'until-destroyed' },
  );
  admit(tx, services, holder);
};

/**
 * A task belongs to the user whose session started it, whichever session he comes with; some may touch all.
 */
export const mayTouch = (view: View, task: Ref<'task'>, caller: Caller): boolean => {
  if (permits(caller.role, anyTask.role)) return true;
  const { holder } = view.require('task', task);
  return holder !== '' && holder === holderOf(view, caller);
};

type Clocked = Pick<Services, 'clock'>;

/** Final states stick: only a task that is not done yet is changed. */
const finish = (tx: Tx, task: Ref<'task'>, services: Clocked, changes: object): void => {
  const record = tx.get('task', task);
  if (record === undefined || !isOpen(record)) return;
  tx.patch('task', task, {
    finished: dateTimeOf(services.clock.now()),
    progress: 1,
    allowed_operations: [],
    // A client that destroyed the task before its end is done with it: the mark outlasts the work.
    current_operations: new Map([...record.current_operations].filter(([, one]) => one === 'destroy')),
    ...changes,
  });
};

/** `result` is the XML-RPC text of the answer, whatever the caller spoke; empty where there is none. */
export const succeedTask = (tx: Tx, task: Ref<'task'>, services: Services, result: string): void => {
  const tellable = Buffer.byteLength(result) <= bytesMaxOf(longText);
  finish(tx, task, services, tellable ? { status: 'success', result } : untellable);
};

const untellable = {
  status: 'failure',
  error_info: [
    'INTERNAL_ERROR',
    'It was done, but its result is too long for a task. Call it without Async.',
  ],
};

/** Of a fault, what its task says: whoever called with something long knows it. */
const paramsMax = 64;
const shortened = (text: string): string => fitting(faultText, text);
const faultText = upTo(string, 8_192);

/** That a task was cancelled is its status; it has no error then. */
export const failTask = (tx: Tx, task: Ref<'task'>, services: Clocked, fault: Fault): void =>
  finish(
    tx,
    task,
    services,
    fault.code === 'TASK_CANCELLED'
      ? { status: 'cancelled' }
      : { status: 'failure', error_info: [fault.code, ...fault.params].slice(0, paramsMax).map(shortened) },
  );

/** Tasks that a host does, or waits for, end with it. Answers which. */
export const failTasksOf = (tx: Tx, host: Ref<'host'>, services: Clocked): ReadonlySet<Ref<'task'>> => {
  const ended = [...tx.all('task')].filter(
    ([, { resident_on, forwarded_to }]) => resident_on === host || forwarded_to === host,
  );
  for (const [task] of ended) failTask(tx, task, services, new Fault('CANNOT_CONTACT_HOST', [host]));
  return new Set(ended.map(([task]) => task));
};

/** Ends the row of a task: a call that somebody waited for leaves none behind, a nested one has none. */
export const endTask = (tx: Tx, watched: Watched, task: Ref<'task'>, final: () => void): void => {
  if (task === nullRef || watched === 'untracked') return;
  if (watched === 'while-running') tx.delete('task', task);
  else final();
};
