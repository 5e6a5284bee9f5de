import { calledOf } from '../pool/context.ts';
import { nameOf } from './changes.ts';
import type { EngineContext, EngineHost } from './context.ts';
import { quotaBytesMax } from './etcd-flags.ts';
import type { HostReport, Hosts } from './orders.ts';
import { answerOf, type EngineMove, type LogEngine } from './settings.ts';
import {
  type ClusterView,
  isSound,
  type MemberView,
  majorityOf,
  viewOf,
  votersOf,
  withCluster,
} from './view.ts';

/** The pool's cluster for people and for programs: plain values, sizes in bytes. */
export interface EngineStatus {
  /** Which engine keeps the pool's log, as this host knows. */
  readonly engine: LogEngine;
  /** The log is on its way to another engine. */
  readonly move?: Pick<EngineMove, 'to' | 'step'>;
  /** Undefined: the pool has no cluster of its own. */
  readonly cluster: ClusterStatus | undefined;
  readonly hosts: readonly HostStatus[];
  /** What is to be done, most urgent first. */
  readonly advice: readonly string[];
}

export interface ClusterStatus {
  readonly id: string;
  /** Of the newest change that any member has. */
  readonly revision: number;
  readonly voters: number;
  /** Members that answer and see a leader. */
  readonly well: number;
  /** Fewer than this many, and nothing can be changed. */
  readonly needed: number;
  /** Members that are no hosts of this pool. */
  readonly strays: readonly string[];
}

export type Part = 'member' | 'learner' | 'client' | 'none' | 'away';

export interface HostStatus {
  readonly host: string;
  readonly name: string;
  readonly address: string;
  readonly part: Part;
  readonly member?: MemberStatusRow;
  /** The version of etcd that is installed there, or ''. */
  readonly etcd: string;
  readonly disk?: HostReport['disk'];
}

export interface MemberStatusRow {
  readonly id: string;
  readonly endpoint: string;
  readonly running: boolean;
  readonly well: boolean;
  readonly leads: boolean;
  readonly version: string;
  readonly dbSizeBytes: number;
  readonly dbInUseBytes: number;
  readonly revision: number;
  readonly restarts: number;
  readonly alarms: readonly string[];
  readonly why: string;
}

/** Asks everybody; whoever does not answer is shown as such, and nothing here fails. */
export const statusOf = async (context: EngineContext, hosts: Hosts): Promise<EngineStatus> => {
  const { pool, host: own, store } = context;
  const all = pool.hosts();
  const asked = await Promise.all(
    all.map(async (one) => {
      const there = one.ref === own || pool.isUp(one.ref);
      const report = there ? await hosts.report(one.ref).catch(() => undefined) : undefined;
      return { one, report };
    }),
  );
  const has = store.current.cluster !== undefined;
  const failed: { why?: string } = {};
  const view = has
    ? await withCluster(context, viewOf).catch((error: unknown) => {
        failed.why = (error as Error).message;
        return undefined;
      })
    : undefined;
  const rows = asked.map(({ one, report }) => hostStatus(one, report, view));
  const given = store.current.cluster?.given === true;
  const cluster = has ? clusterStatus(view, rows, given) : undefined;
  const { use, move } = answerOf(context);
  return {
    engine: use,
    ...(move && { move: { to: move.to, step: move.step } }),
    ...{ cluster, hosts: rows },
    advice: [
      ...moveAdvice(move, use),
      ...adviceOf(cluster, rows, failed.why, context.limits.quotaBytes),
      ...(given && view !== undefined ? givenAdvice(view, all.length) : []),
    ],
  };
};

const clusterStatus = (
  view: ClusterView | undefined,
  rows: readonly HostStatus[],
  given: boolean,
): ClusterStatus => {
  const voters =
    view === undefined ? rows.filter(({ part }) => part === 'member').length : votersOf(view).length;
  const names = new Set(rows.map(({ host }) => host));
  return {
    id: view?.clusterId.toString(16) ?? '',
    revision: Math.max(0, ...(view?.members ?? []).map(({ status }) => status?.header.revision ?? 0)),
    voters,
    well: view === undefined ? 0 : votersOf(view).filter(isSound).length,
    needed: majorityOf(voters),
    strays: (given ? [] : (view?.members ?? []))
      .filter(({ name }) => ![...names].some((one) => nameOf(one as EngineHost['ref']) === name))
      .map(({ id, name, peerUrls }) => `${id.toString(16)} ${name} ${peerUrls.join(',')}`.trim()),
  };
};

const hostStatus = (
  { ref, name, address }: EngineHost,
  report: HostReport | undefined,
  view: ClusterView | undefined,
): HostStatus => {
  const member = view?.members.find((one) => one.name === nameOf(ref));
  const row = member || report?.member ? memberRow(member, report, view) : undefined;
  const part = partOf(member, report);
  return {
    ...{ host: ref, name, address, part, etcd: report?.etcd ?? '' },
    ...(row && { member: row }),
    ...(report && { disk: report.disk }),
  };
};

const partOf = (member: MemberView | undefined, report: HostReport | undefined): Part => {
  if (member !== undefined) return member.learner ? 'learner' : 'member';
  if (report === undefined) return 'away';
  if (report.member !== undefined) return 'member';
  return report.cluster === undefined ? 'none' : 'client';
};

const memberRow = (
  member: MemberView | undefined,
  report: HostReport | undefined,
  view: ClusterView | undefined,
): MemberStatusRow => {
  const { status } = member ?? {};
  return {
    id: member?.id.toString(16) ?? '',
    endpoint: member?.endpoint || report?.member?.endpoint || '',
    running: status !== undefined || (report?.member?.running ?? false),
    well: member !== undefined && isSound(member),
    leads: status !== undefined && status.leader === status.header.memberId,
    version: status?.version ?? '',
    dbSizeBytes: status?.dbSizeBytes ?? 0,
    dbInUseBytes: status?.dbInUseBytes ?? 0,
    revision: status?.header.revision ?? 0,
    restarts: report?.member?.restarts ?? 0,
    alarms: (view?.alarms ?? []).filter((one) => one.member === member?.id).map(({ kind }) => kind),
    why: report?.member?.why ?? '',
  };
};

/** Of the quota: people are told here, and far from it. */
export const quotaToldAt = 0.6;
/** A disk is as good as full with a tenth of it left, or with less room than the cluster may come to need. */
export const isFull = ({ freeBytes, totalBytes }: HostReport['disk']): boolean =>
  freeBytes < Math.min(totalBytes / 10, 2 * quotaBytesMax);

/** The oldest version without faults that lose events or show old rows; older ones work and are told of. */
const versionWanted = '3.5';

const moveAdvice = (move: EngineMove | undefined, use: LogEngine): readonly string[] => {
  if (move === undefined) return [];
  if (move.step === 'prepared' && use !== move.to)
    return [
      `A move to the engine ${move.to} was prepared and not begun: repeat xenact engine use ` +
        `${move.to} on the ` +
        `coordinator, or take it back there with xenact engine use ${use}.`,
    ];
  return [`The pool's log moves to the engine ${move.to}. It is there once every host has been up since.`];
};

const adviceOf = (
  cluster: ClusterStatus | undefined,
  hosts: readonly HostStatus[],
  failed: string | undefined,
  quotaBytes: number,
): readonly string[] => {
  if (cluster === undefined) return [];
  const advice: string[] = [];
  if (failed !== undefined)
    advice.push(
      `The cluster does not answer (${failed}): nothing can be changed until ${cluster.needed} of its ` +
        `members run. Start their hosts.`,
    );
  else if (cluster.well < cluster.voters)
    advice.push(
      cluster.well >= cluster.needed
        ? `${cluster.voters - cluster.well} of ${cluster.voters} members are not well. The pool goes ` +
            `on; start the host, or replace it: xenact engine leave, then join.`
        : `Only ${cluster.well} of ${cluster.voters} members are well: nothing can be changed until ` +
            `${cluster.needed} are.`,
    );
  for (const { name, address, member, disk } of hosts)
    if (member !== undefined)
      advice.push(...memberAdvice(calledOf({ name, address }), member, disk, quotaBytes));
  const old = hosts.filter(({ member }) => member?.version && isOlder(member.version, versionWanted));
  if (old.length > 0)
    advice.push(
      `etcd ${old[0]?.member?.version} has faults that ${versionWanted} mended (docs/engine.md): ` +
        `install a newer one ` +
        `on ${old.map(calledOf).join(', ')}, one host at a time.`,
    );
  for (const stray of cluster.strays)
    advice.push(
      `A member is no host of this pool: ${stray}. Take it out with xenact engine leave ` +
        `${stray.split(' ')[0]}.`,
    );
  return advice;
};

/** Why a pool of several hosts must not have its log in a cluster of one member. */
export const oneMember = (hosts: number): string | undefined =>
  hosts > 1
    ? 'The cluster of etcd has one member, so the pool survives no loss of it, and etcd of that kind has ' +
      'lost writes that it had acknowledged: add two members'
    : undefined;

/** Of a cluster that is looked after elsewhere. */
export const givenAdvice = (view: ClusterView, hosts: number): readonly string[] => {
  const old = view.members.filter(({ status }) => status && isOlder(status.version, versionWanted));
  const single = votersOf(view).length === 1 ? oneMember(hosts) : undefined;
  return [
    ...(single === undefined ? [] : [`${single}.`]),
    ...(old.length === 0
      ? []
      : [
          `etcd ${old[0]?.status?.version} has faults that ${versionWanted} mended (docs/engine.md): ` +
            `install a newer one for ${old.map(({ endpoint, name }) => endpoint || name).join(', ')}, ` +
            'one member at a time.',
        ]),
  ];
};

const memberAdvice = (
  name: string,
  member: MemberStatusRow,
  disk: HostReport['disk'] | undefined,
  quotaBytes: number,
): readonly string[] => {
  const advice = member.alarms.map((kind) => alarmAdvice(kind, name));
  if (member.dbSizeBytes > quotaBytes * quotaToldAt)
    advice.push(
      `${name}: the database has ${percent(member.dbSizeBytes, quotaBytes)} of its quota. Delete ` +
        `what is not needed: ` +
        'old messages, tasks, blobs.',
    );
  if (disk !== undefined && isFull(disk))
    advice.push(
      `${name}: the disk is ${percent(disk.totalBytes - disk.freeBytes, disk.totalBytes)} full. Make ` +
        `room on it.`,
    );
  if (!member.running && member.why !== '') advice.push(`${name}: etcd does not run: ${member.why}`);
  return advice;
};

const isOlder = (version: string, than: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [majorMin = 0, minorMin = 0] = than.split('.').map(Number);
  return major < majorMin || (major === majorMin && minor < minorMin);
};

const percent = (part: number, whole: number): string => `${Math.round((100 * part) / whole)} %`;

const alarmAdvice = (kind: string, name: string): string =>
  kind === 'NOSPACE'
    ? `${name}: NOSPACE, the database has reached its quota and the cluster takes no more. ` +
      `docs/engine.md says how to make room.`
    : kind === 'CORRUPT'
      ? `${name}: CORRUPT, its data differs from the others'. Take it out with xenact engine leave, ` +
        `and let it in again with join.`
      : `${name}: an alarm that is not known here; see etcd's documentation`;
