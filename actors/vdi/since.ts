import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    miami: [
      'location',
      'xenstore_data',
      'sm_config',
      'introduce',
      'db_forget',
      'set_missing',
      'set_virtual_size',
      'set_physical_utilisation',
    ],
    symc: ['update'],
    orlando: ['is_a_snapshot', 'snapshot_of', 'snapshots', 'snapshot_time', 'tags', 'generate_config'],
    george: ['set_sharable'],
    cowley: ['allow_caching', 'on_boot', 'set_on_boot', 'set_allow_caching'],
    boston: [
      'metadata_of_pool',
      'metadata_latest',
      'set_is_a_snapshot',
      'set_snapshot_of',
      'set_snapshot_time',
      'set_metadata_of_pool',
      'open_database',
      'checksum',
      'read_database_pool_uuid',
    ],
    tampa: ['pool_migrate'],
    dundee: ['is_tools_iso'],
    inverness: [
      'cbt_enabled',
      'enable_cbt',
      'disable_cbt',
      'set_cbt_enabled',
      'data_destroy',
      'list_changed_blocks',
      'get_nbd_info',
    ],
    '26.16.0': ['revert'],
  },
};
