import { oneOf } from '../../src/model/types.ts';

export const poolAllowedOperations = oneOf('pool_allowed_operations', [
  'ha_enable',
  'ha_disable',
  'cluster_create',
  'designate_new_master',
  'configure_repositories',
  'sync_updates',
  'sync_bundle',
  'get_updates',
  'apply_updates',
  'tls_verification_enable',
  'cert_refresh',
  'exchange_certificates_on_join',
  'exchange_ca_certificates_on_join',
  'copy_primary_host_certs',
  'eject',
  'exchange_crls_on_join',
]);
export const telemetryFrequency = oneOf('telemetry_frequency', ['daily', 'weekly', 'monthly']);
export const updateSyncFrequency = oneOf('update_sync_frequency', ['daily', 'weekly']);
export const helloReturn = oneOf('hello_return', ['ok', 'unknown_host', 'cannot_talk_back']);
export const poolGuestSecurebootReadiness = oneOf('pool_guest_secureboot_readiness', [
  'ready',
  'ready_no_dbx',
  'not_ready',
]);
