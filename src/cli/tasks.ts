import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import type { CommandRun } from './command.ts';

export interface TaskRecord {
  readonly status: string;
  readonly progress: number;
  readonly result: string;
  readonly error_info: readonly string[];
}

export interface Patience {
  /** Each waits until something changes, or for so long. The first tells only what is there already. */
  readonly rounds: number;
  readonly timeoutS: number;
}
export const untilEnded: Patience = { rounds: Number.POSITIVE_INFINITY, timeoutS: 30 };

/** Resolves with how a task ended, or stands when patience is at its end. `look` sees it change. */
export const ended = async (
  { api }: Pick<CommandRun, 'api'>,
  task: Ref<'task'>,
  { rounds, timeoutS }: Patience,
  look: (record: TaskRecord) => Promise<void> = async () => {},
): Promise<TaskRecord> => {
  let record: TaskRecord = await api.send('task.get_record', task);
  let token = '';
  for (let left = rounds; record.status === 'pending' && left > 0; left -= 1) {
    await look(record);
    ({ token } = await api.send('event.from', [`task/${task}`], token, timeoutS));
    record = await api.send('task.get_record', task);
  }
  return record;
};

const barWidth = 70;

/** On one line that is written anew: ` 42% |####`. */
const barOf = (progress: number, turn: number): string => {
  const percent = String(Math.floor(progress * 100)).padStart(3);
  return `\r ${percent}% ${'|/-\\'[turn % 4]} ${'#'.repeat(Math.floor(progress * barWidth))}`;
};

/** Calls a message that answers nothing. Where `progress` was given the user sees how far it is. */
export const called = async (run: CommandRun, method: string, ...args: readonly unknown[]): Promise<void> => {
  const { api, params, print } = run;
  if (params.get('progress') === undefined) return api.send(method, ...args);
  const task: Ref<'task'> = await api.send(`Async.${method}`, ...args);
  let turn = 0;
  const show = async ({ progress }: Pick<TaskRecord, 'progress'>): Promise<void> => {
    await print.error(barOf(progress, turn));
    turn += 1;
  };
  try {
    const { status, error_info } = await ended(run, task, untilEnded, show);
    if (status === 'success') await show({ progress: 1 });
    await print.error('\n');
    if (status === 'success') return;
    const [code = 'TASK_CANCELLED', ...rest] = error_info;
    throw Fault.foreign(code, error_info.length > 0 ? rest : [task]);
  } finally {
    await api.send('task.destroy', task).catch(() => {});
  }
};
