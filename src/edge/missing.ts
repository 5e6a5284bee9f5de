type Reasons = readonly (readonly [name: string, reason: string])[];

const because = (reason: string, names: readonly string[]): Reasons => names.map((name) => [name, reason]);

const measured = 'Measurements are neither taken nor kept yet.';
const updated = 'Updates of the system below are its own business as yet.';
const between = 'Hosts of a pool speak over links of their own, which nobody else may use.';
const balanced = 'No server that balances load is asked.';

/** Why actions that are declared are not served, by name; nothing is told of those that are. */
export const whyUnserved: ReadonlyMap<string, string> = new Map([
  ...because(measured, [
    'vm_rrd',
    'get_vm_rrds',
    'host_rrd',
    'get_host_rrds',
    'sr_rrd',
    'rrd_updates',
    'rrd',
  ]),
  ...because(updated, [
    ...['put_pool_patch_upload', 'get_pool_update_download', 'get_repository', 'get_enabled_repository'],
    ...['get_host_updates', 'get_updates', 'put_bundle'],
  ]),
  ...because(between, [
    ...['post_remote_db_access', 'post_remote_db_access_v2', 'get_config_sync', 'connect_remotecmd'],
    ...['get_services', 'post_services', 'put_services', 'get_services_sm', 'post_services_sm'],
    ...[
      'put_services_sm',
      'get_services_xenops',
      'post_services_xenops',
      'put_services_xenops',
      'put_messages',
    ],
  ]),
  ...because(balanced, ['get_wlb_report', 'get_wlb_diagnostics']),
  ...because(
    'Rows of a host that runs are not replaced under its clients: `xenact restore` makes a host of a backup.',
    ['put_host_restore'],
  ),
]);

/** Why messages that many clients call are not built, by name; nothing is told of those that are built. */
export const whyMissing: ReadonlyMap<string, string> = new Map([
  ...because(
    'Networks of a host are those that its system has: no bridge, bond or VLAN is made or changed yet.',
    ['PIF.reconfigure_ip', 'pool.create_VLAN_from_PIF', 'VLAN.destroy', 'Bond.create', 'Bond.destroy'],
  ),
  ...because('No hypervisor daemon of ours gives parts of graphics cards to guests.', ['VGPU.create']),
  ...because('Measurements are neither taken nor kept yet, so there are no sources to name.', [
    'VM.get_data_sources',
    'host.get_data_sources',
    'VM.query_data_source',
  ]),
]);
