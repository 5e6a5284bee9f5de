import { MeshFailure } from '../mesh/failure.ts';
import type { Ref } from '../model/types.ts';
import { sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { Authority, Proposal, Verdict } from '../store/proposal.ts';
import { type PoolContext, peerOf, peerRef } from './context.ts';
import { countOf, fieldsOf } from './protocol.ts';

const callMs = 30_000;

/**
 * Where a member's commits are decided: by whoever leads. Each has a number of its own that is noted with it,
 * so that one whose answer was lost is found again in the rows, also when another coordinator has taken over.
 */
export const authorityOf = (context: PoolContext, leader: () => Ref<'host'> | undefined): Authority => {
  const { store, mesh, clock, random, host, limits } = context;
  const incarnation = random.uuid();
  let last = 0;

  /**
   * The verdict; undefined when nobody can say it now, `not here` when the other did nothing as it does not
   * decide.
   */
  const ask = async (
    to: Ref<'host'>,
    proposal: Proposal,
    id: string,
    taken: AbortSignal,
  ): Promise<Verdict | undefined | 'not here'> => {
    try {
      const answer = fieldsOf(
        await mesh.call(to, 'propose', { proposal }, { timeoutMs: callMs, requestId: id, signal: taken }),
      );
      if ('generation' in answer) return { generation: countOf(answer['generation']) };
      if ('stale' in answer) return { stale: countOf(answer['stale']) };
      return 'not here';
    } catch (error) {
      if (taken.aborted || (error instanceof MeshFailure && error.reason !== 'failed')) return undefined;
      throw error;
    }
  };

  return {
    propose: async (proposal, taken) => {
      last += 1;
      const id = `${incarnation}:${last}`;
      const numbered = peerOf(context, host) === undefined ? proposal : noting(proposal, peerRef(host), id);
      const startMs = clock.monotonicMs();
      for (let asked = false, refused = 0; ; ) {
        if (taken.aborted) return foundHere(context, id);
        const to = leader();
        if (to !== undefined) {
          // A change that only makes something new would be refused the second time, and not be called stale.
          if (asked && isDecided(context, id)) return { generation: store.generation };
          // Answers are remembered by request: one that was refused may be put to the same host again once it
          // decides.
          const verdict = await ask(to, numbered, `${id}:${refused}`, taken);
          if (verdict === 'not here') refused += 1;
          else if (verdict !== undefined) {
            return asked && 'stale' in verdict ? await unlessDecided(context, id, verdict) : verdict;
          }
          asked = true;
        }
        if (clock.monotonicMs() - startMs > limits.proposalMsMax)
          throw new Fault('CANNOT_CONTACT_HOST', [to ?? '']);
        await sleep(clock, limits.seekMs, taken).catch(() => {});
      }
    },
  };
};

/** A proposal may be stale because it was decided itself before, and only its answer was lost. */
const unlessDecided = async (
  context: PoolContext,
  id: string,
  verdict: { readonly stale: number },
): Promise<Verdict> => {
  const { store } = context;
  await store.reached(verdict.stale);
  return isDecided(context, id) ? { generation: store.generation } : verdict;
};

const isDecided = (context: PoolContext, id: string): boolean =>
  peerOf(context, context.host)?.proposal === id;

/**
 * This host took over before it was answered: its rows tell whether the change is among them, or is to be
 * made anew.
 */
const foundHere = ({ store, replica, host }: PoolContext, id: string): Verdict =>
  store.latest.get('xenact_peer', peerRef(host))?.proposal === id
    ? { generation: replica.position.generation }
    : { stale: store.generation };

/** The same with the note of its number. */
const noting = (proposal: Proposal, own: Ref<'xenact_peer'>, id: string): Proposal => ({
  ...proposal,
  changes: [...proposal.changes, { op: 'patch', cls: 'xenact_peer', ref: own, fields: { proposal: id } }],
});
