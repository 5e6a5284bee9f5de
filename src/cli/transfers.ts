import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { CommandRun } from './command.ts';
import { CommandFailure } from './failures.ts';
import { ended, type Patience, untilEnded } from './tasks.ts';

/** What a client fetches or sends by HTTP, at a path of the server that it talks to. */
export interface Transfer {
  readonly kind: 'get' | 'put';
  /** As the user wrote it: a client does nothing with a file that he did not name. Empty: its output. */
  readonly file: string;
  readonly path: string;
  /** The address of another host of the pool, if it is there. */
  readonly at?: string;
  readonly query: Readonly<Record<string, string>>;
}

const urlOf = ({ at, path, query }: Transfer, more: Readonly<Record<string, string>>): string =>
  `${at === undefined ? '' : `https://${at}`}${path}?${new URLSearchParams({ ...query, ...more })}`;

const tell = async ({ client }: CommandRun, { kind, file }: Transfer, url: string): Promise<boolean> => {
  await client.tell({ kind, file, url });
  return (await client.reply()).kind === 'ok';
};

/** Of what has no task: the client alone says whether it went well. */
export const fetched = async (run: CommandRun, transfer: Transfer): Promise<void> => {
  const isDone = await tell(run, transfer, urlOf(transfer, { session_id: run.api.session }));
  if (!isDone) throw new CommandFailure(`The transfer of ${transfer.path} failed`);
};

/** A client that failed has cut its connection; what the server makes of that comes soon after. */
const afterFailure: Patience = { rounds: 2, timeoutS: 1 };

const clientFailed: readonly string[] = ['CLIENT_ERROR', 'The client could not do it, and says why'];

/**
 * Has the client fetch or send bytes under a task of its own, and waits for both of them to say how that
 * went. Answers the result of the task; a failed one is a `Fault`, and so is a client that could not.
 */
export const transferred = async (run: CommandRun, label: string, transfer: Transfer): Promise<string> => {
  const { api } = run;
  const task: Ref<'task'> = await api.send('task.create', label, '');
  try {
    const url = urlOf(transfer, { session_id: api.session, task_id: task });
    const isDone = await tell(run, transfer, url);
    const record = await ended(run, task, isDone ? untilEnded : afterFailure);
    if (record.status === 'success' && isDone) return record.result;
    const [code, ...params] = record.error_info.length > 0 ? record.error_info : clientFailed;
    if (record.status === 'pending') await api.send('task.cancel', task).catch(() => {});
    throw Fault.foreign(code as string, params);
  } finally {
    await api.send('task.destroy', task).catch(() => {});
  }
};
