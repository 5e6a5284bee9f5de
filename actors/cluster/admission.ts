import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import type { View } from '../../src/store/view.ts';

export type ClusterOperation = RecordNamed<'Cluster'>['allowed_operations'][number];

/** Members of different releases understand each other, but a cluster must not change under them. */
const notDuringUpgrade: readonly string[] = ['add', 'remove', 'destroy'];

/** Why an operation of a cluster may not begin; one runs at a time, and the first reason counts. */
export const clusterRefusal = (
  view: View,
  self: Ref<'Cluster'>,
  operation: ClusterOperation,
): Refusal | undefined => {
  const cluster = view.get('Cluster', self);
  if (cluster === undefined) return ['HANDLE_INVALID', 'Cluster', self];
  const [first] = cluster.current_operations;
  if (first !== undefined) return ['OTHER_OPERATION_IN_PROGRESS', 'Cluster', self, first[1], first[0]];
  const [pool] = view.all('pool');
  const upgrading = pool?.[1].other_config.has('rolling_upgrade_in_progress') === true;
  return upgrading && notDuringUpgrade.includes(operation) ? ['NOT_SUPPORTED_DURING_UPGRADE'] : undefined;
};
