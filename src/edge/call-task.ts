import type { Ref } from '../model/types.ts';
import type { Caller } from '../objects/implement.ts';
import { anyTask } from '../objects/roles.ts';
import type { Services } from '../objects/services.ts';
import { failTask, mayTouch } from '../objects/tasks.ts';
import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import type { Store } from '../store/store.ts';

/** What the head of a request says of the task of its call. */
export interface CallTask {
  /** An existing task to report to. Whoever made it ends it. */
  readonly task?: Ref<'task'>;
  /** For the task that the call makes. */
  readonly about: { readonly parent?: Ref<'task'>; readonly otherConfig: ReadonlyMap<string, string> };
}

type Headers = Readonly<Record<string, string | undefined>>;

const configHeader = 'x-http-other-config-';
/** Settings that one call can give its task, and characters of each. */
export const configEntriesMax = 32;
export const configCharsMax = 1_024;

/**
 * Reads `task-id`, `subtask-of` and `x-http-other-config-<key>`. A task that there is not is passed over,
 * as clients name tasks of other hosts; somebody else's is refused.
 */
export const callTaskOf = (store: Store, caller: Caller, headers: Headers): CallTask => {
  const task = taskNamed(store, caller, headers['task-id']);
  const parent = taskNamed(store, caller, headers['subtask-of']);
  const config = Object.entries(headers).filter(([name]) => name.startsWith(configHeader));
  return {
    ...(task && { task }),
    about: {
      ...(parent && { parent }),
      otherConfig: new Map(
        config
          .slice(0, configEntriesMax)
          .map(([name, value]) => [
            `http:${name.slice(configHeader.length)}`,
            (value ?? '').slice(0, configCharsMax),
          ]),
      ),
    },
  };
};

const taskNamed = (store: Store, caller: Caller, name: string | undefined): Ref<'task'> | undefined => {
  const task = name as Ref<'task'> | undefined;
  if (task === undefined || store.latest.get('task', task) === undefined) return undefined;
  assertOwnTask(store, caller, task);
  return task;
};

/**
 * Throws RBAC_PERMISSION_DENIED: whoever names the task of a call ends it, so it must be one that he may end.
 */
const assertOwnTask = (store: Store, caller: Caller, task: Ref<'task'>): void => {
  if (mayTouch(store.latest, task, caller)) return;
  throw new Fault('RBAC_PERMISSION_DENIED', [anyTask.name, 'The task was started by somebody else.']);
};

/**
 * The task that the query of an HTTP request names, by reference or uuid. Throws HANDLE_INVALID for one that
 * there is not.
 */
export const queryTaskOf = (
  store: Store,
  caller: Caller,
  query: URLSearchParams,
): Ref<'task'> | undefined => {
  const name = query.get('task_id');
  if (name === null) return undefined;
  const view = store.latest;
  const task =
    view.get('task', name as Ref<'task'>) === undefined ? view.byUuid('task', name) : (name as Ref<'task'>);
  if (task === undefined) throw new Fault('HANDLE_INVALID', ['task', name]);
  assertOwnTask(store, caller, task);
  return task;
};

interface Failing {
  readonly store: Store;
  readonly services: Services;
}

/** The task that a request names, if any, says how the request failed. Throws where it is not his. */
export const failQueryTask = async (
  { store, services }: Failing,
  query: URLSearchParams,
  caller: Caller,
  fault: Fault,
): Promise<void> => {
  const task = queryTaskOf(store, caller, query);
  if (task !== undefined) await store.commit((tx) => failTask(tx, task, services, fault));
};

/**
 * The task of a request that failed because its user may not make it says so. One that is not his is left
 * as it is.
 */
export const failNamedTask = async (
  { log, ...failing }: Failing & { readonly log: Log },
  query: URLSearchParams,
  caller: Caller | undefined,
  fault: Fault,
): Promise<void> => {
  const denied = fault.code === 'RBAC_PERMISSION_DENIED';
  if (!denied || caller === undefined || !query.has('task_id')) return;
  try {
    await failQueryTask(failing, query, caller, fault);
  } catch (error) {
    log.debug({ error: String(error) }, 'A task of a request that was refused is left as it is');
  }
};
