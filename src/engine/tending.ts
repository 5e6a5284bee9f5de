import { join } from 'node:path';
import type { EtcdAlarm, EtcdCluster } from '../drivers/etcd-cluster.ts';
import { sleep } from '../std/clock.ts';
import { endpointsOf, nameOf, share } from './changes.ts';
import type { EngineContext } from './context.ts';
import { clientUrlOf, endpointOf } from './etcd-flags.ts';
import type { Hosts } from './orders.ts';
import { removeAll } from './settings.ts';
import { type EngineStatus, statusOf } from './status.ts';
import { type ClusterView, isSound, type MemberView, viewOf, withCluster } from './view.ts';

// What is looked after while nobody looks: every member keeps snapshots of itself; the coordinator tells
// people what
// is wrong, gives room back, and brings hosts that were away up to date.

const compactBytesMin = 64 * 1_048_576;

/**
 * A file is told to be wasteful by how much larger it is than what is in it; where the cluster is full,
 * sooner.
 */
const wastefulFactor = 2;
const wastefulFactorFull = 1.1;
/** Of the quota: below this much a cluster that was full takes changes again. */
const roomAgainAt = 0.9;

type Sizes = Pick<ClusterView, 'members' | 'alarms'>;

/** The member that gives room back next, the leader last; undefined where none has enough of it. */
export const nextToDefragment = ({ members, alarms }: Sizes): MemberView | undefined => {
  const full = alarms.some(({ kind }) => kind === 'NOSPACE');
  const factor = full ? wastefulFactorFull : wastefulFactor;
  const wasteful = members.filter(
    ({ status }) =>
      status !== undefined &&
      (full || status.dbSizeBytes > compactBytesMin) &&
      status.dbSizeBytes > factor * status.dbInUseBytes,
  );
  return wasteful.find((one) => !isLeader(one)) ?? wasteful[0];
};

/** Alarms of a cluster that was full and has room again. */
export const alarmsOver = ({ members, alarms }: Sizes, quotaBytes: number): readonly EtcdAlarm[] =>
  members.every(({ status }) => status !== undefined && status.dbSizeBytes < quotaBytes * roomAgainAt)
    ? alarms.filter(({ kind }) => kind === 'NOSPACE')
    : [];

const isLeader = ({ id, status }: MemberView): boolean => status?.leader === id;

/** Tends until the signal aborts. Nothing that fails ends it. `between`: runs work that no order overlaps. */
export const tend = async (
  context: EngineContext,
  hosts: Hosts,
  between: (work: () => Promise<void>) => Promise<void>,
  signal: AbortSignal,
): Promise<void> => {
  const { clock, limits, log, store } = context;
  const told = new Set<string>();
  while (!signal.aborted) {
    await sleep(clock, limits.tendMs, signal).catch(() => {});
    const { cluster } = store.current;
    if (signal.aborted || cluster?.whole !== true) continue;
    if (cluster.given) {
      await watchGiven(context, hosts, told);
      continue;
    }
    await keepSnapshots(context).catch((error: unknown) =>
      log.warn({ error: String(error) }, 'No snapshot of the cluster was made'),
    );
    if (!leads(context)) continue;
    await between(() =>
      round(context, hosts, told).catch((error: unknown) =>
        log.warn({ error: String(error) }, 'The cluster cannot be looked after now'),
      ),
    );
  }
};

/** A cluster that is looked after elsewhere: people are told what is wrong with it, and nothing is done. */
const watchGiven = async (context: EngineContext, hosts: Hosts, told: Set<string>): Promise<void> => {
  if (!leads(context)) return;
  try {
    tell(context, await statusOf(context, hosts), told);
  } catch (error) {
    context.log.warn({ error: String(error) }, 'The cluster cannot be looked at now');
  }
};

const leads = ({ pool }: EngineContext): boolean => {
  try {
    pool.assertLeads();
    return true;
  } catch {
    return false;
  }
};

const round = async (context: EngineContext, hosts: Hosts, told: Set<string>): Promise<void> => {
  tell(context, await statusOf(context, hosts), told);
  await withCluster(context, async (cluster) => {
    const view = await viewOf(cluster);
    await share(context, hosts, endpointsOf(view));
    await dismissLeft(context, hosts, view);
    await makeRoom(context, cluster, view);
  });
};

/** Each condition once, and again when it comes back. */
const tell = ({ pool }: EngineContext, { advice }: EngineStatus, told: Set<string>): void => {
  for (const one of advice) {
    // Figures within a sentence change from look to look.
    const key = one.replaceAll(/\d+/g, '#');
    if (told.has(key)) continue;
    told.add(key);
    pool.alert('ENGINE_NEEDS_ATTENTION', one);
  }
  const now = new Set(advice.map((one) => one.replaceAll(/\d+/g, '#')));
  for (const key of told) if (!now.has(key)) told.delete(key);
};

/** A host that was away as it was taken out starts its member again and again for nothing. */
const dismissLeft = async (context: EngineContext, hosts: Hosts, view: ClusterView): Promise<void> => {
  const { pool, host: own } = context;
  const names = new Set(view.members.map(({ name }) => name));
  const peers = new Set(view.members.flatMap(({ peerUrls }) => peerUrls));
  for (const { ref } of pool.hosts()) {
    if (ref !== own && !pool.isUp(ref)) continue;
    const { member } = await hosts.report(ref);
    if (member === undefined || names.has(nameOf(ref)) || peers.has(member.peerUrl)) continue;
    await hosts.dismiss(ref);
  }
  await share(context, hosts, endpointsOf(view));
};

/** Members that do not answer while they do it must not be missed, so all others must be there. */
const makeRoom = async (
  { log, limits }: EngineContext,
  cluster: EtcdCluster,
  view: ClusterView,
): Promise<void> => {
  if (!view.members.every(isSound)) return;
  const next = nextToDefragment(view);
  if (next !== undefined) {
    log.info({ member: next.endpoint }, 'A member of the cluster gives room back');
    await cluster.defragment(next.endpoint);
    return;
  }
  for (const alarm of alarmsOver(view, limits.quotaBytes)) await cluster.disarm(alarm);
};

const nameRule = /^\d{8}T\d{9}Z$/;

/**
 * The newest few, on the disk of each member. A snapshot is whole once the file that describes it is beside
 * it.
 */
export const keepSnapshots = async (context: EngineContext): Promise<void> => {
  const { clock, disk, limits, store } = context;
  const { member } = store.current;
  if (member === undefined) return;
  const folder = store.files.snapshots;
  await disk.makeFolder(folder, 0o700);
  const names = (await disk.list(folder)).map(({ name }) => name);
  const kept = names
    .flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : []))
    .filter((name) => nameRule.test(name))
    .sort();
  const newest = kept.at(-1);
  if (newest !== undefined && clock.now() - timeOf(newest) < limits.snapshotMs) return;
  for (const partial of names.filter((name) => name.endsWith('.db') && !kept.includes(name.slice(0, -3))))
    await removeAll(disk, join(folder, partial));
  const name = new Date(clock.now()).toISOString().replaceAll(/[-:.]/g, '');
  await takeSnapshot(context, endpointOf(clientUrlOf(member)), join(folder, name));
  for (const old of [...kept, name].slice(0, -limits.snapshotsMax)) {
    await removeAll(disk, join(folder, `${old}.json`));
    await removeAll(disk, join(folder, `${old}.db`));
  }
};

const takeSnapshot = (context: EngineContext, endpoint: string, path: string): Promise<void> =>
  withCluster(
    context,
    async (cluster) => {
      const { disk } = context;
      const { header, version } = await cluster.status(endpoint);
      await disk.replaceText(`${path}.db`, '', 0o600);
      const file = await disk.open(`${path}.db`, 'write');
      let sizeBytes = 0;
      try {
        await cluster.snapshot(endpoint, async (piece) => {
          await file.write(piece, BigInt(sizeBytes));
          sizeBytes += piece.length;
        });
        await file.sync();
      } finally {
        await file.close();
      }
      const about = {
        sizeBytes,
        version,
        clusterId: header.clusterId.toString(16),
        revision: header.revision,
      };
      await disk.replaceText(`${path}.json`, `${JSON.stringify(about)}\n`, 0o600);
    },
    [endpoint],
  );

const timeOf = (name: string): number => {
  const [, date = '', h = '', m = '', s = '', ms = ''] =
    /^(\d{8})T(\d\d)(\d\d)(\d\d)(\d{3})Z/.exec(name) ?? [];
  return Date.parse(`${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}T${h}:${m}:${s}.${ms}Z`);
};
