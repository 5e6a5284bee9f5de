import { isDeepStrictEqual } from 'node:util';
import type { EtcdCluster } from '../drivers/etcd-cluster.ts';
import type { Ref } from '../model/types.ts';
import { calledOf } from '../pool/context.ts';
import { sleep } from '../std/clock.ts';
import type { EngineContext, EngineHost } from './context.ts';
import { clientUrlOf, endpointOf, type Member, membersMax, peerUrlOf } from './etcd-flags.ts';
import { type Bearer, type HostReport, type Hosts, signed } from './orders.ts';
import { refusal } from './refusal.ts';
import type { ClusterAccess, TlsFiles } from './settings.ts';
import {
  assertHealthy,
  type ClusterView,
  isSound,
  type MemberView,
  viewOf,
  votersOf,
  withCluster,
} from './view.ts';

// How the cluster comes to be, grows and shrinks. The coordinator does it, one change at a time.

export interface Ports {
  readonly clientPort: number;
  readonly peerPort: number;
}

export interface InitOrder extends Ports {
  /** Names, addresses or references of hosts; 'auto': as many as make sense. */
  readonly members: 'auto' | readonly string[];
}

export const nameOf = (host: Ref<'host'>): string => host.replace(/^OpaqueRef:/, '');

/** Three members survive the loss of any one; from eight hosts on five survive that of any two. */
export const membersWanted = (hosts: number): number => (hosts < 8 ? 3 : 5);

const few =
  'The engine primary is the right one here: it promises what one copy and its followers can ' +
  '(docs/reliability.md)';

/** Who become members. Throws with a word that says what to do where they cannot be. */
export const chosenHosts = (
  hosts: readonly EngineHost[],
  own: Ref<'host'>,
  isUp: (host: Ref<'host'>) => boolean,
  wanted: InitOrder['members'],
): readonly EngineHost[] => {
  if (hosts.length === 1)
    throw refusal(`This pool has one host, and a cluster of one member survives nothing. ${few}`);
  if (hosts.length === 2)
    throw refusal(
      'This pool has two hosts. Two members stop whenever either is away, since one cannot know ' +
        'whether the other lives: they ' +
        'keep every change twice and survive no loss. Let a third host join; or run a small third ' +
        'member elsewhere as a ' +
        `witness, and start the hosts with --engine etcd://A,B,WITNESS. ${few}`,
    );
  if (wanted === 'auto') {
    const count = membersWanted(hosts.length);
    const here = hosts.filter(({ ref }) => ref === own);
    const up = hosts.filter(({ ref }) => ref !== own && isUp(ref));
    const chosen = [...here, ...up].slice(0, count);
    if (chosen.length === count) return chosen;
    const away = hosts.filter(({ ref }) => ref !== own && !isUp(ref));
    throw refusal(`${count} hosts must be there, and ${named(away)} cannot be reached: start them first`);
  }
  const chosen = [...new Set(wanted)].map((one) => hostNamed(hosts, one));
  if (new Set(chosen).size !== chosen.length || chosen.length !== wanted.length)
    throw refusal('A host is named twice among the members');
  if (chosen.length < 3 || chosen.length % 2 === 0 || chosen.length > membersMax)
    throw refusal(
      `Members are three, five or seven: ${chosen.length} survive no more losses than ` +
        `${Math.max(1, chosen.length - 1)} do`,
    );
  const away = chosen.filter(({ ref }) => ref !== own && !isUp(ref));
  if (away.length > 0) throw refusal(`${named(away)} cannot be reached: start it first, or name others`);
  return chosen;
};

const named = (hosts: readonly EngineHost[]): string => hosts.map(calledOf).join(', ');

/** The host that people mean by its name, address or reference. */
export const hostNamed = (hosts: readonly EngineHost[], wanted: string): EngineHost => {
  const found = hosts.filter(({ ref, name, address }) => [ref, nameOf(ref), name, address].includes(wanted));
  const [host] = found;
  if (host !== undefined && found.length === 1) return host;
  throw refusal(
    host === undefined
      ? `The pool has no host ${JSON.stringify(wanted)}: it has ${named(hosts)}`
      : `Several hosts are called ${JSON.stringify(wanted)}: name one by its address`,
  );
};

const reportsOf = async (
  hosts: Hosts,
  chosen: readonly EngineHost[],
): Promise<ReadonlyMap<Ref<'host'>, HostReport>> => {
  const reports = await Promise.all(
    chosen.map(async (host) => [host, await hosts.report(host.ref)] as const),
  );
  const without = reports.filter(([, { etcd }]) => etcd === '');
  if (without.length > 0)
    throw refusal(without.map(([host, { why }]) => `${calledOf(host)}: ${why}`).join('; '));
  return new Map(reports.map(([{ ref }, report]) => [ref, report]));
};

/** Makes the cluster. Resolves once all members are well and every host that is there can use it. */
export const form = async (context: EngineContext, hosts: Hosts, order: InitOrder): Promise<void> => {
  const { pool, store, host: own, random, certify } = context;
  pool.assertLeads();
  if (store.current.cluster?.whole === true)
    throw refusal(
      'The pool has its cluster already: see xenact engine status, and xenact engine join for another member',
    );
  const all = pool.hosts();
  const chosen = chosenHosts(all, own, pool.isUp, order.members);
  await reportsOf(hosts, chosen);
  const token = `xenact-${random.uuid()}`;
  const initial = chosen.map((one) => ({
    name: nameOf(one.ref),
    peerUrl: peerUrlOf({ address: one.address, peerPort: order.peerPort }),
  }));
  const memberOf = ({ ref, address }: EngineHost): Member => ({
    ...{ name: nameOf(ref), address, token, initial, joins: 'new' },
    ...{ clientPort: order.clientPort, peerPort: order.peerPort },
  });
  const authority = await certify.authority('xenact engine');
  const endpoints = chosen.map((one) => endpointOf(clientUrlOf(memberOf(one))));
  const cluster: ClusterAccess = { pool: pool.uuid(), endpoints, whole: false };
  try {
    // What an earlier attempt left, if it was interrupted.
    for (const one of chosen) await hosts.dismiss(one.ref);
    await Promise.all(
      chosen.map(async (one) =>
        hosts.equip(one.ref, {
          cluster,
          credentials: await signed(certify, authority, { address: one.address, isMember: true }),
          member: { ...memberOf(one), started: false },
        }),
      ),
    );
    await formed(context, hosts, chosen);
    await share(context, hosts, endpoints);
  } catch (error) {
    for (const one of chosen) await hosts.dismiss(one.ref).catch(() => {});
    throw error;
  }
};

const formed = async (context: EngineContext, hosts: Hosts, chosen: readonly EngineHost[]): Promise<void> => {
  let why = '';
  const well = await until(context, context.limits.formMsMax, async () => {
    try {
      const view = await withCluster(context, viewOf);
      assertHealthy(view);
      if (view.members.length === chosen.length) return true;
    } catch (error) {
      why = (error as Error).message;
    }
    for (const one of chosen) {
      const { member } = await hosts.report(one.ref);
      // What cannot work, such as a port that is taken, will not by waiting.
      if (member !== undefined && member.restarts >= startsMax)
        throw refusal(`etcd does not start on ${calledOf(one)}: ${member.why}`);
    }
    return false;
  });
  if (!well) throw refusal(`The members did not find each other: ${why}`);
};

const startsMax = 3;

/** True as soon as `check` is; false when the time is over. */
const until = async (
  { clock, limits }: EngineContext,
  timeMs: number,
  check: () => Promise<boolean>,
): Promise<boolean> => {
  const byMs = clock.monotonicMs() + timeMs;
  for (;;) {
    if (await check()) return true;
    if (clock.monotonicMs() >= byMs) return false;
    await sleep(clock, limits.pollMs);
  }
};

/** Tells every host that is there how the cluster is reached; whoever is away is told when it is back. */
export const share = async (
  context: EngineContext,
  hosts: Hosts,
  endpoints: readonly string[],
): Promise<void> => {
  const { pool, host: own, log } = context;
  const there = pool.hosts().filter(({ ref }) => ref === own || pool.isUp(ref));
  await Promise.all(
    there.map((one) =>
      tell(context, hosts, one, endpoints).catch((error: unknown) =>
        log.warn({ error: String(error), host: one.ref }, 'A host does not know the cluster yet'),
      ),
    ),
  );
};

const tell = async (
  context: EngineContext,
  hosts: Hosts,
  { ref, address }: EngineHost,
  endpoints: readonly string[],
): Promise<void> => {
  const { cluster } = await hosts.report(ref);
  if (cluster?.whole === true && isDeepStrictEqual(cluster.endpoints, endpoints)) return;
  if (cluster !== undefined) return hosts.know(ref, endpoints);
  const credentials = await credentialsFor(context, hosts, { address, isMember: false });
  const { pool } = context;
  await hosts.equip(ref, { credentials, cluster: { pool: pool.uuid(), endpoints, whole: true } });
};

/** Signed here, or by a member where this host is none. */
export const credentialsFor = async (
  context: EngineContext,
  hosts: Hosts,
  who: Bearer,
): Promise<TlsFiles> => {
  const { pool, host: own, store } = context;
  if ((await store.credentials()).authorityKey !== undefined) return hosts.credentials(own, who);
  const others = pool.hosts().filter(({ ref }) => ref !== own && pool.isUp(ref));
  for (const { ref } of others) {
    const { member } = await hosts.report(ref);
    if (member !== undefined) return hosts.credentials(ref, who);
  }
  throw refusal('No member of the cluster can be reached by the mesh, so nobody can sign a certificate');
};

/** Makes a host a member: it takes the log without a vote first, and votes once it has caught up. */
export const grow = async (
  context: EngineContext,
  hosts: Hosts,
  wanted: string,
  ports: Ports,
): Promise<void> => {
  const { pool, host: own } = context;
  pool.assertLeads();
  const host = hostNamed(pool.hosts(), wanted);
  if (host.ref !== own && !pool.isUp(host.ref))
    throw refusal(`${host.name} (${host.address}) cannot be reached: start it first`);
  await reportsOf(hosts, [host]);
  const peerUrl = peerUrlOf({ ...ports, address: host.address });
  await withCluster(context, async (cluster) => {
    const view = await viewOf(cluster);
    const present = view.members.find((one) => isMemberOf(one, host, peerUrl));
    if (present !== undefined && !present.learner && present.endpoint !== '')
      throw refusal(`${calledOf(host)} is a member already`);
    assertHealthy(view, present?.id);
    // What an attempt left that was interrupted.
    if (present !== undefined) await removed(context, cluster, present.id);
    if (votersOf(view).length >= membersMax)
      throw refusal(`The cluster has ${membersMax} members; more make it slower and no safer`);
    const id = await added(context, cluster, peerUrl);
    try {
      await startLearner(context, hosts, host, ports, await viewOf(cluster));
      await promoted(context, hosts, cluster, host, id);
    } catch (error) {
      await cluster.remove(id).catch(() => {});
      await hosts.dismiss(host.ref).catch(() => {});
      throw error;
    }
    await share(context, hosts, endpointsOf(await viewOf(cluster)));
  });
};

/**
 * Members take no change within their first seconds together, and whoever asked may not hear that it was
 * taken: what
 * counts is the list.
 */
const added = async (context: EngineContext, cluster: EtcdCluster, peerUrl: string): Promise<bigint> => {
  let why = '';
  let id: bigint | undefined;
  const done = await until(context, context.limits.formMsMax, async () => {
    await cluster.addLearner(peerUrl).catch((error: unknown) => {
      why = (error as Error).message;
    });
    const { members } = await cluster.members();
    id = members.find(({ peerUrls }) => peerUrls.includes(peerUrl))?.id;
    return id !== undefined;
  });
  if (!done || id === undefined) throw refusal(`The cluster takes no further member: ${why}`);
  return id;
};

const removed = async (context: EngineContext, cluster: EtcdCluster, id: bigint): Promise<void> => {
  let why = '';
  const done = await until(context, context.limits.formMsMax, async () => {
    await cluster.remove(id).catch((error: unknown) => {
      why = (error as Error).message;
    });
    const { members } = await cluster.members();
    return members.every((one) => one.id !== id);
  });
  if (!done) throw refusal(`The cluster does not let the member go: ${why}`);
};

/** By its name, or where it never started by where it was to be reached. */
const isMemberOf = ({ name, peerUrls }: MemberView, { ref }: EngineHost, peerUrl?: string): boolean =>
  name === nameOf(ref) || (name === '' && peerUrl !== undefined && peerUrls.includes(peerUrl));

export const endpointsOf = ({ members }: Pick<ClusterView, 'members'>): readonly string[] =>
  members.flatMap(({ endpoint }) => (endpoint === '' ? [] : [endpoint]));

const startLearner = async (
  context: EngineContext,
  hosts: Hosts,
  { ref, address }: EngineHost,
  ports: Ports,
  view: ClusterView,
): Promise<void> => {
  const name = nameOf(ref);
  const peerUrl = peerUrlOf({ ...ports, address });
  const initial = view.members.map(({ name: known, peerUrls: [url = ''] }) => ({
    name: url === peerUrl ? name : known,
    peerUrl: url,
  }));
  await hosts.dismiss(ref);
  await hosts.equip(ref, {
    credentials: await credentialsFor(context, hosts, { address, isMember: true }),
    cluster: { pool: context.pool.uuid(), endpoints: endpointsOf(view), whole: false },
    member: {
      ...{ ...ports, name, address, initial, joins: 'existing', started: false },
      token: `xenact-${view.clusterId.toString(16)}`,
    },
  });
};

const promoted = async (
  context: EngineContext,
  hosts: Hosts,
  cluster: EtcdCluster,
  host: EngineHost,
  id: bigint,
): Promise<void> => {
  let why = '';
  const done = await until(context, context.limits.catchUpMsMax, async () => {
    try {
      await cluster.promote(id);
      return true;
    } catch (error) {
      why = (error as Error).message;
    }
    const { members } = await cluster.members();
    if (members.some((one) => one.id === id && !one.learner)) return true;
    const { member } = await hosts.report(host.ref);
    if (member !== undefined && member.restarts >= startsMax)
      throw refusal(`etcd does not start on ${calledOf(host)}: ${member.why}`);
    return false;
  });
  if (!done) throw refusal(`${calledOf(host)} has not caught up: ${why}`);
};

/** Takes a host out of the cluster. It stays in the pool, as a client of the others. */
export const shrink = async (context: EngineContext, hosts: Hosts, wanted: string): Promise<void> => {
  const { pool, host: own } = context;
  pool.assertLeads();
  await withCluster(context, async (cluster) => {
    const view = await viewOf(cluster);
    const { leaving, host } = leavingOf(view, pool.hosts(), wanted);
    assertMayLeave(view, leaving, host === undefined ? wanted : calledOf(host));
    await removed(context, cluster, leaving.id);
    const rest = endpointsOf({ members: view.members.filter(({ id }) => id !== leaving.id) });
    if (host !== undefined && (host.ref === own || pool.isUp(host.ref))) {
      const credentials = await credentialsFor(context, hosts, { address: host.address, isMember: false });
      await hosts.equip(host.ref, {
        credentials,
        cluster: { pool: pool.uuid(), endpoints: rest, whole: true },
      });
    }
    await share(context, hosts, rest);
  });
};

/** A host of the pool, or a member that is no host of it any more, by its name or where it is reached. */
const leavingOf = (
  view: ClusterView,
  hosts: readonly EngineHost[],
  wanted: string,
): { readonly leaving: MemberView; readonly host: EngineHost | undefined } => {
  const stray = view.members.find(({ id, name, endpoint, peerUrls }) =>
    [id.toString(16), name, endpoint, ...peerUrls].includes(wanted),
  );
  const host = stray === undefined ? hostNamed(hosts, wanted) : hosts.find((one) => isMemberOf(stray, one));
  const leaving = stray ?? view.members.find((one) => host !== undefined && isMemberOf(one, host));
  if (leaving === undefined) throw refusal(`${wanted} is no member of the cluster`);
  return { leaving, host };
};

/**
 * Whoever is well leaves only where enough stay; whoever is gone may be taken out, so that another can take
 * its place.
 */
export const assertMayLeave = (view: ClusterView, leaving: MemberView, name: string): void => {
  assertHealthy({ ...view, alarms: view.alarms.filter(({ member }) => member !== leaving.id) }, leaving.id);
  const voters = votersOf(view).length;
  if (leaving.learner || !isSound(leaving)) return;
  if (voters <= 3)
    throw refusal(
      `The cluster has ${voters} members, and without ${name} it would survive no loss. Let another ` +
        `in first with xenact engine ` +
        'join HOST; or move the pool away from etcd with xenact engine use primary',
    );
};
