import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import type { View } from '../../src/store/view.ts';

export type MemberOperation = RecordNamed<'Cluster_host'>['allowed_operations'][number];

/** Why an operation of a member may not begin; one runs at a time, and the first reason counts. */
export const memberRefusal = (
  view: View,
  self: Ref<'Cluster_host'>,
  operation: MemberOperation,
): Refusal | undefined => {
  const member = view.get('Cluster_host', self);
  if (member === undefined) return ['HANDLE_INVALID', 'Cluster_host', self];
  const [first] = member.current_operations;
  if (first !== undefined) return ['OTHER_OPERATION_IN_PROGRESS', 'Cluster_host', self, first[1], first[0]];
  return operation === 'enable' && !member.joined ? ['CLUSTER_HOST_NOT_JOINED', self] : undefined;
};
