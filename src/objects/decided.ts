import type { Tx } from '../store/view.ts';
import type { Services } from './services.ts';

type Deciding = Pick<Services, 'store' | 'host'>;

/**
 * Whether commits of this host are in the latest rows at once, and not only when the coordinator accepted
 * them.
 */
export const decidesAtOnce = ({ store, host }: Deciding): boolean => {
  for (const [, { master }] of store.latest.all('pool')) return master === host;
  return true;
};

/**
 * Makes a commit in the middle of work, which nobody is answered by. Resolves once it is decided, and rejects
 * when it is refused. Where this host decides, that does not wait for the disk: the answer comes with a later
 * commit, which is on disk after this one.
 */
export const decided = async (
  by: Deciding,
  make: (tx: Tx) => void,
): Promise<{ readonly durable: Promise<void> }> => {
  let refusal: { readonly error: unknown } | undefined;
  const durable = by.store.commit((tx) => {
    try {
      refusal = undefined;
      make(tx);
    } catch (error) {
      refusal = { error };
      throw error;
    }
  });
  if (!decidesAtOnce(by)) await durable;
  durable.catch(() => {});
  if (refusal !== undefined) throw (refusal as { readonly error: unknown }).error;
  return { durable };
};
