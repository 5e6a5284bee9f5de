import { MeshFailure } from '../mesh/failure.ts';
import type { Ref } from '../model/types.ts';
import { sleep } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { PoolContext } from './context.ts';

type Asking = Pick<PoolContext, 'clock' | 'random' | 'limits'>;

/**
 * Asks a host, and again when the link is lost on the way: a request that has an id is not done twice. A host
 * that does not come back in time is given up with CANNOT_CONTACT_HOST. `agoMs`: since the first attempt.
 */
export const askPatiently = async (
  { clock, random, limits }: Asking,
  host: Ref<'host'>,
  ask: (requestId: string, agoMs: number) => Promise<unknown>,
): Promise<unknown> => {
  const requestId = random.uuid();
  const firstMs = clock.monotonicMs();
  let lostMs: number | undefined;
  for (;;) {
    try {
      // A first attempt has not waited yet, whatever the clock says.
      return await ask(requestId, lostMs === undefined ? 0 : Math.ceil(clock.monotonicMs() - firstMs));
    } catch (error) {
      if (!(error instanceof MeshFailure)) throw error;
      if (error.reason !== 'unreachable') throw refused(error, host);
      lostMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - lostMs > limits.returnMsMax) throw new Fault('CANNOT_CONTACT_HOST', [host]);
      await sleep(clock, limits.seekMs);
    }
  }
};

const refused = (error: MeshFailure, host: Ref<'host'>): Fault =>
  error.reason === 'busy' ? new Fault('TOO_MANY_PENDING_TASKS') : new Fault('CANNOT_CONTACT_HOST', [host]);
