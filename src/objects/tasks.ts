import type { ClassName } from '../model/class.ts';
import { permits } from '../model/derive.ts';
import { dateTimeOf, nullRef, type Ref } from '../model/types.ts';
import type { Fault } from '../std/fault.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Tx, View } from '../store/view.ts';
import type { Caller } from './implement.ts';
import { anyTask } from './roles.ts';
import type { Services } from './services.ts';

/** How a call is watched: not at all, by a row that lives as long as the call, or by one that the client destroys. */
export type Watched = 'untracked' | 'while-running' | 'until-destroyed';

export interface NewTask {
  readonly label: string;
  readonly description?: string;
  readonly cancellable: boolean;
  readonly watched: Watched;
  readonly caller: Caller;
  /** The task that this one is a part of. One that there is not is left out. */
  readonly parent?: Ref<'task'>;
  readonly otherConfig?: ReadonlyMap<string, string>;
}

/** A reference fit for a new row: nobody has it yet and nobody can guess it. */
export const newRef = <C extends string>(services: Pick<Services, 'random'>): Ref<C> =>
  `OpaqueRef:${services.random.uuid()}` as Ref<C>;

export const createTask = (tx: Tx, task: Ref<'task'>, services: Services, spec: NewTask): void => {
  const parent = spec.parent ?? (nullRef as Ref<'task'>);
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
      resident_on: services.host,
      progress: 0,
      type: '<none/>',
      allowed_operations: spec.cancellable ? ['cancel'] : [],
      subtask_of: tx.get('task', parent) === undefined ? nullRef : parent,
      other_config: spec.otherConfig ?? new Map(),
    },
    { durable: spec.watched === 'until-destroyed' },
  );
};

/** A task belongs to the user whose session started it, whichever session he comes with; some may touch all. */
export const mayTouch = (view: View, task: Ref<'task'>, caller: Caller): boolean => {
  if (permits(caller.role, anyTask.role)) return true;
  const owner = view.get('session', view.require('task', task).session);
  return owner !== undefined && owner.auth_user_sid === view.get('session', caller.session)?.auth_user_sid;
};

/** Final states stick: only a task that is not done yet is changed. */
const finish = (tx: Tx, task: Ref<'task'>, services: Services, changes: object): void => {
  const record = tx.get('task', task);
  if (record === undefined || (record.status !== 'pending' && record.status !== 'cancelling')) return;
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
export const succeedTask = (tx: Tx, task: Ref<'task'>, services: Services, result: string): void =>
  finish(tx, task, services, { status: 'success', result });

/** That a task was cancelled is its status; it has no error then. */
export const failTask = (tx: Tx, task: Ref<'task'>, services: Services, fault: Fault): void =>
  finish(
    tx,
    task,
    services,
    fault.code === 'TASK_CANCELLED'
      ? { status: 'cancelled' }
      : { status: 'failure', error_info: [fault.code, ...fault.params] },
  );

/** Ends the row of a task: a call that somebody waited for leaves none behind, a nested one has none. */
export const endTask = (tx: Tx, watched: Watched, task: Ref<'task'>, final: () => void): void => {
  if (task === nullRef || watched === 'untracked') return;
  if (watched === 'while-running') tx.delete('task', task);
  else final();
};

const operationsOf = (tx: Tx, cls: ClassName, ref: Ref): ReadonlyMap<string, string> | undefined => {
  const record = tx.get(cls, ref as Ref<any>) as AnyRecord | undefined;
  return record?.['current_operations'] as ReadonlyMap<string, string> | undefined;
};

const patchOperations = (tx: Tx, cls: ClassName, ref: Ref, operations: ReadonlyMap<string, string>): void =>
  tx.patch(cls, ref as Ref<any>, { current_operations: operations } as never);

/** Puts an operation into `current_operations` of a row that has them, under the task or what stands for one. */
export const mark = (tx: Tx, cls: ClassName, ref: Ref, task: string, operation: string): void => {
  const operations = operationsOf(tx, cls, ref);
  if (operations === undefined) return;
  const others = [...operations].filter(([one]) => one !== task);
  patchOperations(tx, cls, ref, new Map([...others, [task, operation]]));
};

/** Takes it out again. */
export const unmark = (tx: Tx, cls: ClassName, ref: Ref, task: string): void => {
  const operations = operationsOf(tx, cls, ref);
  if (operations?.has(task) !== true) return;
  patchOperations(tx, cls, ref, new Map([...operations].filter(([one]) => one !== task)));
};
