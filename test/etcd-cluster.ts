import { onTestFinished } from 'vitest';
import { type EtcdMember, openEtcd } from './etcd-members.ts';

export { type EtcdMember, leaderOf, noEtcd } from './etcd-members.ts';

/** Real members on loopback, which end with the test. */
export const startEtcd = async (
  count: number,
  flags: readonly string[] = [],
  scheme: 'http' | 'https' = 'http',
): Promise<readonly EtcdMember[]> => {
  const { members, close } = await openEtcd(count, flags, scheme);
  onTestFinished(close);
  return members;
};
