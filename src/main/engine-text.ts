import type { EngineStatus, HostStatus } from '../engine/status.ts';

/** `xenact engine status` for people. */
export const engineText = ({ engine, move, cluster, hosts, advice }: EngineStatus): string => {
  const kept = `engine ${engine}${move === undefined ? '' : `, on its way to ${move.to} (${move.step})`}`;
  const head =
    cluster === undefined
      ? 'This pool has no cluster of etcd; xenact engine init makes one.'
      : `cluster ${cluster.id || '(not known)'}: ${cluster.well} of ${cluster.voters} members well, ` +
        `${cluster.needed} needed, revision ${cluster.revision}`;
  const lines = table([titles, ...hosts.map(row)]);
  return `${[kept, head, '', ...lines, ...advice.map((one) => `\n! ${one}`)].join('\n')}\n`;
};

const titles = [
  'HOST',
  'ADDRESS',
  'PART',
  'STATE',
  'ETCD',
  'DATABASE',
  'IN USE',
  'DISK FREE',
  'RESTARTS',
  'ALARMS',
];

const row = ({ name, address, part, member, etcd, disk }: HostStatus): readonly string[] => [
  name,
  member?.endpoint || address,
  part,
  stateOf(member),
  member?.version || etcd,
  member === undefined ? '' : mib(member.dbSizeBytes),
  member === undefined ? '' : mib(member.dbInUseBytes),
  disk === undefined ? '' : mib(disk.freeBytes),
  member === undefined ? '' : `${member.restarts}`,
  member?.alarms.join(',') ?? '',
];

const stateOf = (member: HostStatus['member']): string => {
  if (member === undefined) return '';
  if (member.leads) return 'leads';
  if (member.well) return 'well';
  return member.running ? 'sees no leader' : 'down';
};

const mib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;

const table = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = titles.map((_, column) => Math.max(...rows.map((one) => one[column]?.length ?? 0)));
  return rows.map((one) =>
    one
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
};
