import { action } from '../../src/model/class.ts';
import { string } from '../../src/model/types.ts';

/** What clients ask for by HTTP. */
export const actions = {
  get_services: action('GET', '/services', 'read-only', 'Lists the services of the host.'),
  post_services: action('POST', '/services', 'pool-admin', 'Speaks with a service of the host.'),
  put_services: action('PUT', '/services', 'pool-admin', 'Speaks with a service of the host.'),
  get_services_xenops: action(
    'GET',
    '/services/xenops',
    'vm-power-admin',
    "Tells of the hypervisor's daemon.",
  ),
  post_services_xenops: action(
    'POST',
    '/services/xenops',
    'vm-power-admin',
    "Speaks with the hypervisor's daemon.",
    { certificate: true },
  ),
  put_services_xenops: action(
    'PUT',
    '/services/xenops',
    'vm-power-admin',
    'Brings a guest that moves to this host.',
    { certificate: true },
  ),
  get_host_backup: action('GET', '/host_backup', 'pool-admin', 'Gives a backup of the pool.', {
    onMember: true,
    task: 'Downloading host backup',
    audited: true,
  }),
  put_host_restore: action('PUT', '/host_restore', 'pool-admin', "Takes a copy of the host's system."),
  get_host_logs_download: action('GET', '/host_logs_download', 'pool-operator', "Gives the host's logs.", {
    onMember: true,
    task: 'Downloading host logs',
  }),
  get_system_status: action('GET', '/system-status', 'pool-operator', 'Gives a report for support.', {
    onMember: true,
    task: 'Retrieving system status',
    params: {
      list: [string, 'Given, whatever it says: the parts that there are, as XML.', 'absent'],
      entries: [string, 'The parts wanted, by commas; all where none is named.', ''],
      output: [string, 'How it is packed: tar.', 'tar'],
    },
  }),
  host_rrd: action('GET', '/host_rrd', 'read-only', 'Gives the measurements of the host.'),
  get_host_rrds: action('GET', '/host_rrds', 'read-only', 'Gives the measurements of the host.'),
  rrd_updates: action(
    'GET',
    '/rrd_updates',
    'read-only',
    'Gives the latest measurements of the host and its VMs.',
  ),
  rrd: action('PUT', '/rrd', 'pool-admin', 'Takes measurements of another host.'),
  connect_remotecmd: action('CONNECT', '/remotecmd', 'pool-admin', 'Runs a command on the host.'),
  get_audit_log: action('GET', '/audit_log', 'read-only', 'Tells who changed what on this host.', {
    onMember: true,
    params: { since: [string, 'A date: nothing older is told.', ''] },
  }),
  get_host_updates: action('GET', '/host_updates', 'pool-operator', 'Lists updates that the host lacks.', {
    certificate: true,
  }),
} as const;
