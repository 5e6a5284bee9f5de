import type { RecordNamed } from '../../src/model/class.ts';
import { type CpuFeatures, featuresText, intersect, parseFeatures } from '../../src/std/cpu-features.ts';
import type { View } from '../../src/store/view.ts';

type CpuInfo = RecordNamed<'pool'>['cpu_info'];

const levelled = ['features', 'features_hvm', 'features_hvm_host', 'features_pv', 'features_pv_host'];
const summed = ['cpu_count', 'socket_count'];

/** Read once: the hosts of a large pool change often, and their processors do not. */
const read = new WeakMap<CpuInfo, readonly CpuFeatures[]>();
const featuresOf = (info: CpuInfo): readonly CpuFeatures[] => {
  const known = read.get(info) ?? levelled.map((key) => parseFeatures(info.get(key) ?? '') ?? []);
  read.set(info, known);
  return known;
};

/**
 * The processors of a pool: as many as its hosts have, with what all of them can do. A host that has not told
 * what its own can do holds back nothing.
 */
export const processorsOfPool = (view: View, own: CpuInfo): CpuInfo => {
  const hosts = [...view.all('host')].map(([, { cpu_info }]) => cpu_info);
  if (hosts.length === 0) return own;
  const common = hosts
    .map(featuresOf)
    .reduce((so, one) => so.map((features, at) => intersect(features, one[at] ?? [])));
  const sum = (key: string): string => String(hosts.reduce((so, one) => so + (Number(one.get(key)) || 0), 0));
  return new Map([
    ...own,
    ...levelled.map((key, at): [string, string] => [key, featuresText(common[at] ?? [])]),
    ...summed.map((key): [string, string] => [key, sum(key)]),
  ]);
};
