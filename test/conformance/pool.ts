import { clusterRefusal } from '../../actors/cluster/admission.ts';
import { memberRefusal } from '../../actors/cluster_host/admission.ts';
import { hostRefusal } from '../../actors/host/admission.ts';
import { poolRefusal } from '../../actors/pool/admission.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import type { View } from '../../src/store/view.ts';
import type { Case } from './cases.ts';
import { admitting, argumentsFor, asked, compared, messagesFor, putRows } from './scripts/admitting.ts';
import { type Adapter, against, mapOf } from './subject.ts';
import { type Rows, viewOfRows, withRefs } from './vm-rows.ts';

const answer = (refusal: Refusal | undefined): unknown =>
  refusal === undefined ? { allowed: true } : { allowed: false, error: refusal };

type Refuses = (view: View, self: Ref<any>, operation: any) => Refusal | undefined;

/**
 * What is listed for clients, what the messages that begin the operation answer, and, where only hosts begin
 * it among themselves, what they are told.
 */
const operationOf = (
  cls: 'host' | 'pool',
  refuses: Refuses,
  rowsOf: (given: Case['given']) => Rows,
): Adapter =>
  admitting(async (at, { given, when, then }) => {
    const self = `OpaqueRef:${cls}` as Ref<typeof cls>;
    const operation: string = when['operation'];
    const rows = rowsOf(given);
    await putRows(at, rows);
    const listed = `${cls}.get_allowed_operations`;
    const found: Record<string, unknown> = {
      [listed]: { allowed: ((await at.tried(listed, self)) as string[]).includes(operation) },
    };
    const messages = messagesFor(at, cls, operation);
    for (const message of messages) {
      found[message.method] = await asked(at, message.method, argumentsFor(rows, message));
    }
    if (messages.length === 0) {
      found['by its rule'] = answer(refuses(at.host.world.store.committed, self, operation));
    }
    return compared(found, (name) => (name === listed ? { allowed: then['allowed'] } : withRefs(then)));
  });

export const hostOperation = operationOf('host', hostRefusal, (given) => ({
  host: {
    'OpaqueRef:host': {
      enabled: given['host.enabled'],
      power_on_mode: given['host.power_on_mode'],
      current_operations: mapOf(given['host.current_operations']),
      metrics: 'OpaqueRef:metrics',
    },
  },
  host_metrics: { 'OpaqueRef:metrics': { live: given['host_metrics.live'] } },
}));

export const poolOperation = operationOf('pool', poolRefusal, (given) => ({
  // Whoever is made coordinator in a case is the host that is there.
  host: { 'OpaqueRef:host': {} },
  pool: {
    'OpaqueRef:pool': {
      ha_enabled: given['pool.ha_enabled'] ?? false,
      ha_cluster_stack: given['pool.ha_cluster_stack'] ?? '',
      other_config: mapOf(given['pool.other_config']),
      current_operations: mapOf(given['pool.current_operations']),
    },
  },
  Cluster: Object.fromEntries(
    Array.from({ length: given['Clusters'] ?? 0 }, (_, i) => [`OpaqueRef:cluster${i}`, {}]),
  ),
}));

const cluster = 'OpaqueRef:cluster' as Ref<'Cluster'>;
const member = 'OpaqueRef:cluster_host' as Ref<'Cluster_host'>;

/** Nothing begins these yet, so they are asked of their rule. The operation is named with its class. */
export const clusterOperation: Adapter = ({ given, when, then }) => {
  const view = viewOfRows({
    pool: { 'OpaqueRef:pool': { other_config: mapOf(given['pool.other_config']) } },
    Cluster: { [cluster]: { current_operations: mapOf(given['Cluster.current_operations']) } },
    Cluster_host: {
      [member]: {
        joined: given['Cluster_host.joined'] ?? true,
        current_operations: mapOf(given['Cluster_host.current_operations']),
      },
    },
  });
  const [cls, operation] = String(when['operation']).split('.');
  const found = answer(
    cls === 'Cluster'
      ? clusterRefusal(view, cluster, operation as never)
      : memberRefusal(view, member, operation as never),
  );
  return against(found, withRefs(then));
};
