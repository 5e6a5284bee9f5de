import type { Host } from '../assembly/parts.ts';
import type { Audit } from '../edge/audit.ts';
import { asFault } from '../std/fault.ts';
import { jsonIn, membersOf } from '../std/reader.ts';
import { atTheMachine } from './users.ts';

export const leadPath = '/lead';

/** What the program that runs answers `xenact lead`: JSON, with why it did not where it did not. */
export const leadRequests =
  ({ membership, pool }: Pick<Host, 'membership' | 'pool'>, audit: Audit) =>
  async (body: string): Promise<string> => {
    const force = membersOf(jsonIn(body))['force'] === true;
    const note = (outcome: string): void =>
      audit.add({
        caller: atTheMachine('xenact lead'),
        from: '',
        method: 'pool.lead',
        args: { force },
        outcome,
      });
    try {
      if (pool.duty.kind === 'leads' && pool.duty.ready) return JSON.stringify({ already: true });
      await membership.takeOver(force);
      note('success');
      return JSON.stringify({ already: false });
    } catch (error) {
      const { code, params } = asFault(error);
      note(code);
      return JSON.stringify({ error: params.length === 0 ? code : params.join(' ') });
    }
  };
