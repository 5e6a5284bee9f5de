import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import type { FaultCode } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';

type Operation = RecordNamed<'pool'>['allowed_operations'][number];

/** Operations that refuse others at once, each in its own words. */
const blocking = {
  ha_enable: 'HA_ENABLE_IN_PROGRESS',
  ha_disable: 'HA_DISABLE_IN_PROGRESS',
  cluster_create: 'CLUSTER_CREATE_IN_PROGRESS',
  designate_new_master: 'DESIGNATE_NEW_MASTER_IN_PROGRESS',
  configure_repositories: 'CONFIGURE_REPOSITORIES_IN_PROGRESS',
  sync_updates: 'SYNC_UPDATES_IN_PROGRESS',
  sync_bundle: 'SYNC_BUNDLE_IN_PROGRESS',
  apply_updates: 'APPLY_UPDATES_IN_PROGRESS',
  tls_verification_enable: 'TLS_VERIFICATION_ENABLE_IN_PROGRESS',
} as const satisfies Partial<Record<Operation, FaultCode>>;

/** Operations that others wait for. */
const waitedFor: readonly Operation[] = [
  'get_updates',
  'cert_refresh',
  'exchange_certificates_on_join',
  'exchange_ca_certificates_on_join',
  'exchange_crls_on_join',
  'copy_primary_host_certs',
  'eject',
];

const isBlocking = (operation: string): operation is keyof typeof blocking =>
  Object.hasOwn(blocking, operation);

export const operations: readonly Operation[] = [
  ...(Object.keys(blocking) as (keyof typeof blocking)[]),
  ...waitedFor,
];

/** Only one operation of a pool runs at a time: whoever comes second is refused, or waits. */
const busy = (
  current: RecordNamed<'pool'>['current_operations'],
  self: Ref<'pool'>,
  operation: string,
): Refusal | undefined => {
  const generic = [...current].find(([, running]) => !isBlocking(running));
  const wait: Refusal | undefined = generic && [
    'OTHER_OPERATION_IN_PROGRESS',
    'pool',
    self,
    generic[1],
    generic[0],
  ];
  const refusing = [...current.values()].find(isBlocking);
  if (refusing === undefined) return wait;
  if (isBlocking(operation)) return [blocking[refusing]];
  return wait ?? ['OTHER_OPERATION_IN_PROGRESS', 'pool', self];
};

/** Why an operation of a pool may not begin; the first reason counts. */
export const poolRefusal = (view: View, self: Ref<'pool'>, operation: string): Refusal | undefined => {
  const pool = view.get('pool', self);
  if (pool === undefined) return ['HANDLE_INVALID', 'pool', self];
  const upgrading = pool.other_config.has('rolling_upgrade_in_progress');
  const refused = busy(pool.current_operations, self, operation);
  if (refused !== undefined) return refused;
  switch (operation) {
    case 'ha_enable':
      return pool.ha_enabled ? ['HA_IS_ENABLED'] : undefined;
    case 'ha_disable':
      return pool.ha_enabled ? undefined : ['HA_NOT_ENABLED'];
    case 'cluster_create':
      if ([...view.all('Cluster')].length > 0) return ['CLUSTER_ALREADY_EXISTS'];
      if (pool.ha_enabled) return ['INCOMPATIBLE_CLUSTER_STACK_ACTIVE', pool.ha_cluster_stack];
      return upgrading ? ['NOT_SUPPORTED_DURING_UPGRADE'] : undefined;
    case 'tls_verification_enable':
      if (pool.ha_enabled) return ['HA_IS_ENABLED'];
      return upgrading ? ['NOT_SUPPORTED_DURING_UPGRADE'] : undefined;
    default:
      return undefined;
  }
};
