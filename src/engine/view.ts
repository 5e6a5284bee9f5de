import type { MemberStatus } from '../drivers/etcd.ts';
import type { EtcdAlarm, EtcdCluster, EtcdMember } from '../drivers/etcd-cluster.ts';
import type { EngineContext } from './context.ts';
import { endpointOf } from './etcd-flags.ts';
import { refusal } from './refusal.ts';

/** The cluster as its members say that it is, at one moment. */
export interface ClusterView {
  readonly clusterId: bigint;
  readonly members: readonly MemberView[];
  readonly alarms: readonly EtcdAlarm[];
}

export interface MemberView extends EtcdMember {
  /** `address:port`; '' of one that never started. */
  readonly endpoint: string;
  /** Undefined: it does not answer. */
  readonly status: MemberStatus | undefined;
}

/** Members that have a vote. */
export const votersOf = ({ members }: Pick<ClusterView, 'members'>): readonly MemberView[] =>
  members.filter(({ learner }) => !learner);

export const majorityOf = (voters: number): number => Math.floor(voters / 2) + 1;

/** It answers, and knows a leader. */
export const isSound = ({ status }: MemberView): boolean => status !== undefined && status.leader !== 0n;

/** Runs `act` with a connection to the pool's cluster. */
export const withCluster = async <T>(
  context: EngineContext,
  act: (cluster: EtcdCluster) => Promise<T>,
  endpoints = context.store.current.cluster?.endpoints ?? [],
): Promise<T> => {
  if (endpoints.length === 0) throw refusal('The pool has no cluster of etcd: xenact engine init makes one');
  const cluster = context.connect(endpoints, await context.store.credentials());
  try {
    return await act(cluster);
  } finally {
    cluster.close();
  }
};

/** Rejects where no member can say who is in the cluster, as when most are away. */
export const viewOf = async (cluster: EtcdCluster): Promise<ClusterView> => {
  const { clusterId, members } = await cluster.members();
  const viewed = await Promise.all(
    members.map(async (member): Promise<MemberView> => {
      const endpoint = member.clientUrls[0] === undefined ? '' : endpointOf(member.clientUrls[0]);
      const status = endpoint === '' ? undefined : await cluster.status(endpoint).catch(() => undefined);
      return { ...member, endpoint, status };
    }),
  );
  // Alarms are agreed upon, so without a majority nobody can say which there are.
  const agrees = votersOf({ members: viewed }).filter(isSound).length >= majorityOf(members.length);
  return { clusterId, members: viewed, alarms: agrees ? await cluster.alarms() : [] };
};

/** Throws, with who is not well, unless every member is and no alarm is raised. */
export const assertHealthy = ({ members, alarms }: ClusterView, but?: bigint): void => {
  const others = members.filter(({ id }) => id !== but);
  const unwell = others.filter((member) => !isSound(member));
  if (unwell.length > 0) {
    const named = unwell.map(({ name, endpoint }) => endpoint || name || 'a member that never started');
    throw refusal(
      `The cluster is not healthy: ${named.join(', ')} cannot be reached. Members change only while all ` +
        'others are well: see xenact engine status, and start that host, or take it out with xenact ' +
        'engine leave HOST',
    );
  }
  const learner = others.find((one) => one.learner);
  if (learner !== undefined)
    throw refusal(
      `${learner.endpoint || 'A member'} has not caught up yet. Members change one at a time: wait ` +
        `until xenact engine status ` +
        'shows that it has, or take it out with xenact engine leave HOST',
    );
  if (alarms.length > 0)
    throw refusal(
      `The cluster has raised ${alarms.map(({ kind }) => kind).join(', ')}: see xenact engine status ` +
        `for what to do first`,
    );
};
