import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    miami: ['sm_config', 'probe', 'set_physical_size', 'set_virtual_allocation', 'set_physical_utilisation'],
    symc: ['update'],
    orlando: ['tags', 'blobs', 'create_new_blob', 'assert_can_host_ha_statefile'],
    cowley: ['local_cache_enabled'],
    boston: [
      'introduced_by',
      'assert_supports_database_replication',
      'enable_database_replication',
      'disable_database_replication',
    ],
    dundee: [
      'clustered',
      'is_tools_sr',
      'get_data_sources',
      'record_data_source',
      'query_data_source',
      'forget_data_source_archives',
    ],
    kolkata: ['probe_ext'],
    stockholm: ['get_live_hosts'],
  },
};
