import type { Messages } from '../../../src/model/class.ts';
import { bool, int, label, map, ref, set, string, stringMap } from '../../../src/model/types.ts';

/** High Availability, and blobs. */
export const availability = {
  enable_ha: {
    doc: 'Let hosts watch each other through storage and network, and restart protected VMs.',
    role: 'pool-operator',
    certificate: true,
    params: {
      heartbeat_srs: [set(ref('SR')), 'Shared SRs for the state files; empty lets the pool choose.'],
      configuration: [stringMap, 'Timeouts in seconds by name; empty for the usual ones.'],
    },
    async: true,
  },
  disable_ha: {
    frees: true,
    doc: 'Stop watching and restarting; VMs go on running.',
    role: 'pool-operator',
    certificate: true,
    async: true,
  },
  sync_database: {
    doc: 'Wait until every member holds a copy of the present database.',
    role: 'pool-operator',
    async: true,
  },
  designate_new_master: {
    frees: true,
    doc: 'Hand the role of coordinator to another member, without a break for VMs.',
    role: 'pool-operator',
    params: { host: [ref('host'), 'Member to be coordinator.'] },
    async: true,
  },
  ha_prevent_restarts_for: {
    doc: 'Hold back restarts of VMs for a while, for instance during maintenance.',
    role: 'pool-operator',
    params: { seconds: [int, 'Seconds to hold back; 0 ends the wait at once.'] },
  },
  ha_failover_plan_exists: {
    doc: 'Whether the pool could survive a number of host failures.',
    role: 'pool-operator',
    params: { n: [int, 'Number of hosts that fail.'] },
    result: bool,
  },
  ha_compute_max_host_failures_to_tolerate: {
    doc: 'Most host failures the pool could survive with the protected VMs there are.',
    role: 'pool-operator',
    result: int,
  },
  ha_compute_hypothetical_max_host_failures_to_tolerate: {
    doc: 'Most host failures the pool could survive with other VMs protected.',
    role: 'read-only',
    params: {
      configuration: [map(ref('VM'), string), 'Restart priority of each VM that would be protected.'],
    },
    result: int,
  },
  ha_compute_vm_failover_plan: {
    doc: 'Where each of some VMs would be restarted, or why it could not be.',
    role: 'pool-operator',
    params: {
      failed_hosts: [set(ref('host')), 'Hosts that are thought to have failed.'],
      failed_vms: [set(ref('VM')), 'VMs to place.'],
    },
    result: map(ref('VM'), stringMap),
  },
  set_ha_host_failures_to_tolerate: {
    doc: 'Set how many host failures the pool must survive; refused if it could not.',
    role: 'pool-operator',
    self: 'self',
    params: { value: [int, 'Number of hosts, 0 to restart VMs without a promise.'] },
    async: true,
  },
  create_new_blob: {
    doc: 'Make an empty blob with the pool, to be filled by an HTTP upload.',
    role: 'pool-operator',
    self: 'pool',
    params: {
      name: [label, 'Key under which it is found in `blobs`.'],
      mime_type: [string, 'MIME type, empty for `application/octet-stream`.'],
      public: [bool, 'True if it can be read without logging in.', false],
    },
    result: ref('blob'),
    async: true,
  },
  ha_schedule_plan_recomputation: {
    doc: 'Have the failover plan computed anew soon.',
    role: '_local_root_',
    async: true,
    poolInternal: true,
    hidden: true,
  },
  enable_binary_storage: {
    doc: 'Allow blobs and stored performance data on the hosts.',
    role: 'pool-operator',
    async: true,
    hidden: true,
  },
  disable_binary_storage: {
    doc: 'Refuse blobs and stored performance data on the hosts, and delete what there is.',
    role: 'pool-operator',
    async: true,
    hidden: true,
  },
} as const satisfies Messages;
