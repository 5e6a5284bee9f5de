import type { Command, CommandRun, Selects } from './command.ts';
import { CommandFailure, Ended } from './failures.ts';
import { faultLine } from './fault-text.ts';
import type { Listed } from './fields.ts';
import { type Filter, filtered, filtersOf } from './filters.ts';
import { type ApiRow, rowsOfClass } from './lookup.ts';
import { showOf } from './rows.ts';

/** How the objects of a command are chosen. */
interface Choice {
  readonly of: Listed;
  /** The parameter that names one of them, and the fields that it may be. */
  readonly by: readonly string[];
  readonly always: readonly Filter[];
  /** As messages call them. */
  readonly words: readonly [none: string, many: string, one: string];
}

export interface Selecting {
  readonly classes: readonly Listed[];
  readonly command: Pick<Command, 'required' | 'optional' | 'selects'>;
  /** Templates may be chosen as well. */
  readonly any?: true;
  /** No more than one can be chosen, whatever is given. */
  readonly single?: true;
}

const choiceOf = (kind: Selects, { classes, any }: Selecting): Choice => {
  const of = classes.find(({ name }) => name === kind) as Listed;
  const templates: readonly Filter[] = any ? [] : [['is-a-template', 'false']];
  switch (kind) {
    case 'vm':
      return {
        of,
        by: ['uuid', 'name_label'],
        always: [['is-control-domain', 'false'], ...templates],
        words: ['VMs', 'VMs', 'VM'],
      };
    case 'host':
      return { of, by: ['uuid', 'hostname', 'name_label'], always: [], words: ['hosts', 'hosts', 'host'] };
    case 'sr':
      return { of, by: ['uuid', 'name_label'], always: [], words: ['hosts', 'SRs', 'SR'] };
  }
};

/** The objects that a command is for: those whose fields are as they are given, or all. */
export const chosenRows = async (run: CommandRun, selecting: Selecting): Promise<readonly ApiRow[]> => {
  const { command } = selecting;
  const kind = command.selects as Selects;
  const { of, by, always, words } = choiceOf(kind, selecting);
  const all = await rowsOfClass(run.api, of.cls);
  const named = run.params.get(kind);
  const rows =
    named === undefined ? all : all.filter(({ record }) => by.some((name) => record[name] === named));
  const own = [...(command.required ?? []), ...(command.optional ?? []), kind, 'progress'];
  const filters = [...always, ...filtersOf(run, own)];
  const chosen = await filtered(rows, filters, of, { show: showOf(of, run), clock: run.clock });
  if (chosen.length === 0) throw new CommandFailure(`No matching ${words[0]} found`);
  if (chosen.length === 1) return chosen;
  if (selecting.single)
    throw new CommandFailure(
      `Multiple matches ${words[1]} found. Operation can only be performed on one ${words[2]} at a time`,
    );
  if (run.params.get('multiple') !== 'true') {
    const matches = kind === 'vm' ? `matches ${words[1]}` : `matching ${words[1]}`;
    throw new CommandFailure(`Multiple ${matches} found. --multiple required to complete the operation`);
  }
  return chosen;
};

/** Does it to each; where there are several, those that fail are named and keep nobody else from it. */
export const onEach = async (
  run: CommandRun,
  rows: readonly ApiRow[],
  act: (row: ApiRow) => Promise<void>,
): Promise<void> => {
  const [only] = rows;
  if (rows.length === 1 && only !== undefined) return act(only);
  let isFailed = false;
  for (const row of rows) {
    try {
      await act(row);
    } catch (error) {
      if (run.client.gone.aborted) throw error;
      isFailed = true;
      const text = error instanceof CommandFailure ? error.message : await faultLine(error, run.api);
      await run.client.tell({
        kind: 'print',
        text: `operation failed on ${row.record['uuid']}: ${text}`,
      });
    }
  }
  if (isFailed) throw new Ended(1);
};
