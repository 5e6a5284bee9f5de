import type { Command, CommandRun } from '../command.ts';
import { CommandFailure } from '../failures.ts';
import type { Listed } from '../fields.ts';
import { type Filter, filtered, filtersOf } from '../filters.ts';
import { type ApiRow, rowsOfClass } from '../lookup.ts';
import { showOf } from '../rows.ts';

const waitS = 30;
/** `field=/=value`: the field is to be anything else. */
const unlike = '/=';

/** The rows that are as each word says. */
const meeting = async (
  run: CommandRun,
  of: Listed,
  rows: readonly ApiRow[],
  words: readonly Filter[],
): Promise<readonly ApiRow[]> => {
  // What the objects name may have changed as well, so nothing is remembered from one look to the next.
  const options = { show: showOf(of, run), clock: run.clock };
  const alike = words.filter(([, value]) => !value.startsWith(unlike));
  let left = await filtered(rows, alike, of, options);
  for (const [name, value] of words.filter((word) => !alike.includes(word))) {
    const other = await filtered(left, [[name, value.slice(unlike.length)]], of, options);
    left = left.filter((row) => !other.includes(row));
  }
  return left;
};

/** Waits until an object of a class is as it is said to be. Says nothing until then, and nothing then. */
const eventWait = (classes: readonly Listed[]): Command => ({
  ...{
    name: 'event-wait',
    doc: 'Waits until fields of an object are as they are given.',
    required: ['class'],
  },
  run: async (run) => {
    const { api, params } = run;
    const named = params.need('class');
    const of = classes.find(({ name }) => name === named);
    if (of === undefined) throw new CommandFailure(`There is no class '${named}'`);
    const words = filtersOf(run, ['class']);
    let token = '';
    for (;;) {
      ({ token } = await api.send('event.from', [of.cls], token, waitS));
      if ((await meeting(run, of, await rowsOfClass(api, of.cls), words)).length > 0) return;
    }
  },
});

export const eventCommands = (classes: readonly Listed[]): readonly Command[] => [eventWait(classes)];
