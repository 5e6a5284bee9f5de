import type { Host } from '../assembly/parts.ts';
import type { Audit } from '../edge/audit.ts';
import { asFault } from '../std/fault.ts';
import { jsonIn, membersOf } from '../std/reader.ts';
import { atTheMachine } from './users.ts';

export const leaksPath = '/leaks';

/** What `xenact leaks` is told of each; `left` says why it is still there after cleaning. */
export interface ToldLeak {
  readonly kind: string;
  readonly what: string;
  readonly left?: string;
}

/** What the program that runs answers `xenact leaks`: JSON, with why it did not where it did not. */
export const leaksRequests =
  ({ leaks }: Pick<Host, 'leaks'>, audit: Audit) =>
  async (body: string): Promise<string> => {
    const clean = membersOf(jsonIn(body))['clean'] === true;
    const note = (outcome: string): void =>
      audit.add({
        caller: atTheMachine('xenact leaks'),
        from: '',
        method: 'host.clean_leaks',
        args: {},
        outcome,
      });
    try {
      const found = clean ? await leaks.clean() : await leaks.list();
      if (clean) note('success');
      return JSON.stringify({ leaks: found });
    } catch (error) {
      const { code, params } = asFault(error);
      if (clean) note(code);
      return JSON.stringify({ error: [code, ...params].join(' ') });
    }
  };
