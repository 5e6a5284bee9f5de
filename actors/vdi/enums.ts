import { oneOf } from '../../src/model/types.ts';

export const vdiOperations = oneOf('vdi_operations', [
  'clone',
  'copy',
  'resize',
  'resize_online',
  'snapshot',
  'mirror',
  'destroy',
  'forget',
  'update',
  'force_unlock',
  'generate_config',
  'enable_cbt',
  'disable_cbt',
  'data_destroy',
  'list_changed_blocks',
  'set_on_boot',
  'blocked',
  'revert_to',
  'revert_from',
]);
export const vdiType = oneOf('vdi_type', [
  'system',
  'user',
  'ephemeral',
  'suspend',
  'crashdump',
  'ha_statefile',
  'metadata',
  'redo_log',
  'rrd',
  'pvs_cache',
  'cbt_metadata',
]);
export const onBoot = oneOf('on_boot', ['reset', 'persist']);
