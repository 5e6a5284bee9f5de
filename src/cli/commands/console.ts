import type { Command } from '../command.ts';
import { CommandFailure } from '../failures.ts';
import type { Listed } from '../fields.ts';
import { chosenRows } from '../selectors.ts';

/** Joins the terminal of the user with that of a VM, until he leaves it. */
export const consoleCommand = (classes: readonly Listed[]): Command => {
  const command = {
    ...{ name: 'console', doc: 'Connects this terminal to that of a VM.' },
    selects: 'vm' as const,
  };
  return {
    ...command,
    run: async (run) => {
      const { api, client } = run;
      const [row] = await chosenRows(run, { classes, command, single: true });
      let terminal: string | undefined;
      for (const ref of (row?.record['consoles'] ?? []) as readonly string[])
        if ((await api.send('console.get_protocol', ref)) === 'vt100') terminal ??= ref;
      if (terminal === undefined) throw new CommandFailure('The VM has no terminal now: it does not run');
      const text = `Connecting to the console of ${row?.record['name_label']}. Ctrl + ] leaves it.`;
      await client.tell({ kind: 'print', text });
      const query = new URLSearchParams({ ref: terminal, session_id: api.session });
      await client.tell({ kind: 'connect', url: `/console?${query}` });
      if ((await client.reply()).kind !== 'ok') throw new CommandFailure('The console was not reached');
    },
  };
};
