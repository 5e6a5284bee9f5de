import type { Ref } from '../../model/types.ts';
import type { PoolContext } from '../../pool/context.ts';
import { countOf, fieldsOf, flagOf } from '../../pool/protocol.ts';
import type { Replica } from '../../store/replica.ts';

/**
 * Takes from the leader what this host lacks, which from then on sends what follows. Resolves with the
 * generation from which on readers here have seen all that the leader had.
 */
export const catchUp = async (
  { mesh, limits }: PoolContext,
  replica: Replica,
  leader: Ref<'host'>,
  signal: AbortSignal,
): Promise<number> => {
  const call = (name: string, payload: unknown): Promise<unknown> =>
    mesh.call(leader, name, payload, { timeoutMs: limits.applyMsMax, signal });
  for (;;) {
    const answer = fieldsOf(await call('follow', { position: replica.position }));
    signal.throwIfAborted();
    if (flagOf(answer['copy'])) {
      await replica.replace(piecesOf(call));
      continue;
    }
    return countOf(answer['generation']);
  }
};

/** A whole copy, piece after piece. */
async function* piecesOf(call: (name: string, payload: unknown) => Promise<unknown>) {
  for (let begin = true; ; begin = false) {
    const { piece } = fieldsOf(await call('copy', { begin }));
    if (piece === undefined || piece === null) return;
    yield piece as never;
  }
}
