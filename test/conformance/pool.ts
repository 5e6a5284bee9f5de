import { clusterRefusal } from '../../actors/cluster/admission.ts';
import { memberRefusal } from '../../actors/cluster_host/admission.ts';
import { hostRefusal } from '../../actors/host/admission.ts';
import { poolRefusal } from '../../actors/pool/admission.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Adapter, mapOf } from './subject.ts';
import { viewOfRows } from './vm-rows.ts';

const answer = (refusal: readonly string[] | undefined, ref: string, word: string): unknown =>
  refusal === undefined
    ? { allowed: true }
    : { allowed: false, error: refusal.map((param) => (param === ref ? word : param)) };

const host = 'OpaqueRef:host' as Ref<'host'>;

export const hostOperation: Adapter = ({ given, when }) => {
  const view = viewOfRows({
    host: {
      [host]: {
        enabled: given['host.enabled'],
        power_on_mode: given['host.power_on_mode'],
        current_operations: mapOf(given['host.current_operations']),
        metrics: 'OpaqueRef:metrics',
      },
    },
    host_metrics: { 'OpaqueRef:metrics': { live: given['host_metrics.live'] } },
  });
  return answer(hostRefusal(view, host, when['operation']), host, '<host>');
};

const pool = 'OpaqueRef:pool' as Ref<'pool'>;

export const poolOperation: Adapter = ({ given, when }) => {
  const clusters = Array.from({ length: given['Clusters'] ?? 0 }, (_, i) => [`OpaqueRef:cluster${i}`, {}]);
  const view = viewOfRows({
    pool: {
      [pool]: {
        ha_enabled: given['pool.ha_enabled'] ?? false,
        ha_cluster_stack: given['pool.ha_cluster_stack'] ?? '',
        other_config: mapOf(given['pool.other_config']),
        current_operations: mapOf(given['pool.current_operations']),
      },
    },
    Cluster: Object.fromEntries(clusters),
  });
  return answer(poolRefusal(view, pool, when['operation']), pool, '<pool>');
};

const cluster = 'OpaqueRef:cluster' as Ref<'Cluster'>;
const member = 'OpaqueRef:member' as Ref<'Cluster_host'>;

/** The operation is named with its class: `Cluster.add`, `Cluster_host.enable`. */
export const clusterOperation: Adapter = ({ given, when }) => {
  const view = viewOfRows({
    pool: { [pool]: { other_config: mapOf(given['pool.other_config']) } },
    Cluster: { [cluster]: { current_operations: mapOf(given['Cluster.current_operations']) } },
    Cluster_host: {
      [member]: {
        joined: given['Cluster_host.joined'] ?? true,
        current_operations: mapOf(given['Cluster_host.current_operations']),
      },
    },
  });
  const [cls, operation] = String(when['operation']).split('.');
  return cls === 'Cluster'
    ? answer(clusterRefusal(view, cluster, operation as never), cluster, '<cluster>')
    : answer(memberRefusal(view, member, operation as never), member, '<cluster_host>');
};
