import type { Tx } from '../store/view.ts';
import type { Services } from './services.ts';

/**
 * Makes a commit in the middle of work, which nobody is answered by. Resolves once it is decided, and rejects
 * when it is refused. Where this host decides, that does not wait for the disk: the answer comes with a later
 * commit, which is on disk after this one.
 */
export const decided = async (
  { store }: Pick<Services, 'store'>,
  make: (tx: Tx) => void,
): Promise<{ readonly durable: Promise<void> }> => {
  let refusal: { readonly error: unknown } | undefined;
  const { decides } = store;
  const durable = store.commit((tx) => {
    try {
      refusal = undefined;
      make(tx);
    } catch (error) {
      refusal = { error };
      throw error;
    }
  });
  if (!decides) await durable;
  durable.catch(() => {});
  if (refusal !== undefined) throw (refusal as { readonly error: unknown }).error;
  return { durable };
};
