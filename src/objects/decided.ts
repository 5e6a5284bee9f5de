import type { Services } from './services.ts';

type Deciding = Pick<Services, 'store' | 'host'>;

/** Whether commits of this host are in the latest rows at once, and not only when the coordinator accepted them. */
export const decidesAtOnce = ({ store, host }: Deciding): boolean => {
  for (const [, { master }] of store.latest.all('pool')) return master === host;
  return true;
};

/**
 * What to wait for before work builds on a commit that it is no answer to: nothing where this host decides, as
 * every later answer is behind the commit anyway.
 */
export const decided = (by: Deciding, commit: Promise<unknown>): Promise<unknown> | undefined => {
  if (!decidesAtOnce(by)) return commit;
  commit.catch(() => {});
  return undefined;
};
