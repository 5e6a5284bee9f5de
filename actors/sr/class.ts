import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import {
  bool,
  float,
  int,
  label,
  map,
  nullRef,
  oneOf,
  record,
  ref,
  set,
  string,
  stringMap,
} from '../../src/model/types.ts';
import { actions } from './actions.ts';
import { since } from './since.ts';

export const storageOperations = oneOf('storage_operations', [
  'scan',
  'destroy',
  'forget',
  'plug',
  'unplug',
  'update',
  'vdi_create',
  'vdi_introduce',
  'vdi_destroy',
  'vdi_resize',
  'vdi_clone',
  'vdi_snapshot',
  'vdi_mirror',
  'vdi_enable_cbt',
  'vdi_disable_cbt',
  'vdi_data_destroy',
  'vdi_list_changed_blocks',
  'vdi_set_on_boot',
  'vdi_blocked',
  'vdi_copy',
  'vdi_force_unlock',
  'vdi_forget',
  'vdi_generate_config',
  'vdi_resize_online',
  'vdi_update',
  'vdi_revert',
  'pbd_create',
  'pbd_destroy',
]);

export const SR = defineClass('SR', {
  doc: 'A place that disks are kept in, reached by each host through a PBD of its own.',
  since,
  writeRole: 'pool-operator',
  takes: ['blobs'],
  fields: {
    uuid: dyn(string, 'Identity; the storage itself may carry it, so that it survives a reinstallation.'),
    name_label: ro(label, 'Name shown to people; it need not be unique.', {
      default: '',
      column: 'name__label',
    }),
    name_description: ro(string, 'Free text shown beside the name.', {
      default: '',
      column: 'name__description',
    }),
    allowed_operations: dyn(
      set(storageOperations),
      'Operations that would be admitted now; a hint for clients.',
      { default: [], persist: false },
    ),
    current_operations: dyn(
      map(string, storageOperations),
      'What runs on the repository at this moment, by the task that runs it.',
      { default: new Map(), persist: false },
    ),
    VDIs: dyn(set(ref('VDI')), 'Disks in it, as of the last scan.', { inverse: 'VDI.SR', computed: true }),
    PBDs: dyn(set(ref('PBD')), 'Connections to it, one for each host that may use it.', {
      inverse: 'PBD.SR',
      computed: true,
    }),
    virtual_allocation: dyn(
      int,
      'Sum of the sizes promised to its disks, in bytes; it may exceed what is there.',
    ),
    physical_utilisation: dyn(int, 'Bytes in use on the storage.'),
    physical_size: ro(int, 'Bytes in all; 0 or less when the storage does not tell.'),
    type: ro(string, 'Driver that serves it, such as `nfs` or `ext`.'),
    content_type: ro(string, 'What it is for: empty or `user` for disks, `iso` for CD images.'),
    shared: dyn(bool, 'True if several hosts can use it at the same time.'),
    other_config: rw(
      stringMap,
      'Settings of clients and some of ours, such as `auto-scan`; two keys need a lesser role.',
      { keyRoles: { folder: 'vm-operator', 'XenCenter.CustomFields.*': 'vm-operator' } },
    ),
    tags: rw(set(string), 'Words for grouping and searching.', { default: [], writeRole: 'vm-operator' }),
    default_vdi_visibility: dyn(bool, 'Whether disks that a scan finds are shown to clients.', {
      internal: true,
    }),
    sm_config: rw(
      stringMap,
      'Settings and notes that belong to the driver; leave them alone unless it says otherwise.',
      { default: new Map() },
    ),
    blobs: dyn(map(string, ref('blob')), 'Binary attachments by name.', {
      default: new Map(),
      gone: 'cleared',
    }),
    local_cache_enabled: dyn(bool, 'True if its host caches blocks of remote disks in it.', {
      default: false,
    }),
    introduced_by: dyn(ref('DR_task'), 'Disaster recovery task that attached it; null for ordinary ones.', {
      default: nullRef,
      inverse: 'DR_task.introduced_SRs',
      gone: 'cleared',
    }),
    clustered: dyn(bool, 'True if a cluster stack must be running on hosts that use it.', { default: false }),
    is_tools_sr: dyn(bool, 'True for the one that holds the guest tools; it cannot be removed.', {
      default: false,
    }),
  },
  actions,
  messages: {
    create: {
      doc: 'Makes a repository, formatting the storage if need be, and plugs it in.',
      role: 'pool-operator',
      params: {
        host: [ref('host'), 'Host to make it from; for shared ones the others are plugged too.'],
        device_config: [stringMap, 'Where the storage is, as its driver wants to be told.'],
        physical_size: [int, 'Bytes to take; 0 takes all there is.'],
        name_label: [label, 'Name to show to people.'],
        name_description: [string, 'Text to show beside the name.'],
        type: [string, 'Driver to use, one of `get_supported_types`.'],
        content_type: [string, '`iso` for CD images, otherwise empty or `user`.'],
        shared: [bool, 'True if several hosts are to use it.'],
        sm_config: [stringMap, 'Settings for the driver.', new Map()],
      },
      result: ref('SR'),
      errors: ['SR_UNKNOWN_DRIVER'],
      async: true,
    },
    introduce: {
      doc: 'Makes a repository known whose storage exists already, without touching the storage.',
      role: 'pool-operator',
      params: {
        uuid: [label, 'Identity that the storage carries.'],
        name_label: [label, 'Name to show to people.'],
        name_description: [string, 'Text to show beside the name.'],
        type: [string, 'Driver to use, one of `get_supported_types`.'],
        content_type: [string, '`iso` for CD images, otherwise empty or `user`.'],
        shared: [bool, 'True if several hosts are to use it.'],
        sm_config: [stringMap, 'Settings for the driver.', new Map()],
      },
      result: ref('SR'),
      async: true,
    },
    make: {
      doc: 'Older way to make a repository without plugging it in; use `create`.',
      role: 'pool-operator',
      params: {
        host: [ref('host'), 'Host to make it from.'],
        device_config: [stringMap, 'Where the storage is, as its driver wants to be told.'],
        physical_size: [int, 'Bytes to take; 0 takes all there is.'],
        name_label: [label, 'Name to show to people.'],
        name_description: [string, 'Text to show beside the name.'],
        type: [string, 'Driver to use, one of `get_supported_types`.'],
        content_type: [string, '`iso` for CD images, otherwise empty or `user`.'],
        sm_config: [stringMap, 'Settings for the driver.', new Map()],
      },
      result: string,
      async: true,
    },
    destroy: {
      frees: true,
      doc: 'Deletes the repository and the storage behind it; no PBD may be plugged.',
      role: 'pool-operator',
      self: 'sr',
      errors: ['SR_HAS_PBD'],
      async: true,
    },
    forget: {
      frees: true,
      doc: 'Deletes the records of a repository and keeps the storage, so that it can be introduced again.',
      role: 'pool-operator',
      self: 'sr',
      errors: ['SR_HAS_PBD'],
      async: true,
    },
    update: {
      doc: 'Reads sizes and capacity from the driver again.',
      role: 'pool-operator',
      self: 'sr',
      async: true,
    },
    get_supported_types: {
      doc: 'Lists the drivers that are installed.',
      role: 'read-only',
      result: set(string),
    },
    scan: {
      doc: 'Looks at the storage for disks that came, went or changed, and updates their records.',
      role: 'vm-power-admin',
      self: 'sr',
      async: true,
    },
    probe: {
      frees: true,
      doc: 'Asks a driver what it finds at an address, as XML whose form depends on the driver.',
      role: 'pool-operator',
      params: {
        host: [ref('host'), 'Host to look from.'],
        device_config: [stringMap, 'Where to look; what is left out is searched for.'],
        type: [string, 'Driver to ask.'],
        sm_config: [stringMap, 'Settings for the driver.', new Map()],
      },
      result: string,
      async: true,
    },
    probe_ext: {
      frees: true,
      doc: 'Asks a driver what it finds at an address, as records with ready-made settings to attach them.',
      role: 'pool-operator',
      params: {
        host: [ref('host'), 'Host to look from.'],
        device_config: [stringMap, 'Where to look; what is left out is searched for.'],
        type: [string, 'Driver to ask.'],
        sm_config: [stringMap, 'Settings for the driver.', new Map()],
      },
      result: set(record('probe_result')),
      async: true,
    },
    set_shared: {
      doc: 'Says whether several hosts may use it; it stays shared while it has several PBDs.',
      role: 'pool-operator',
      self: 'sr',
      params: {
        value: [bool, 'True to share.'],
      },
      async: true,
    },
    set_name_label: {
      doc: 'Renames the repository, also on the storage where it is kept there.',
      role: 'pool-operator',
      self: 'sr',
      params: {
        value: [label, 'New name.'],
      },
      async: true,
    },
    set_name_description: {
      doc: 'Changes the description, also on the storage where it is kept there.',
      role: 'pool-operator',
      self: 'sr',
      params: {
        value: [string, 'New text.'],
      },
      async: true,
    },
    create_new_blob: {
      doc: 'Attaches a new, empty binary blob to the repository.',
      role: 'pool-operator',
      self: 'sr',
      params: {
        name: [label, 'Name among the attachments of the repository.'],
        mime_type: [string, 'Media type to serve it with; empty means `application/octet-stream`.'],
        public: [bool, 'True lets anyone read it over HTTP without logging in.', false],
      },
      result: ref('blob'),
      async: true,
    },
    set_physical_size: {
      doc: 'Records a new capacity; it does not change the storage.',
      role: 'pool-operator',
      self: 'self',
      params: {
        value: [int, 'Bytes.'],
      },
    },
    set_virtual_allocation: {
      doc: 'Records what a driver says it has promised to disks.',
      role: '_local_root_',
      self: 'self',
      params: {
        value: [int, 'Bytes.'],
      },
      hidden: true,
    },
    set_physical_utilisation: {
      doc: 'Records what a driver says is in use.',
      role: '_local_root_',
      self: 'self',
      params: {
        value: [int, 'Bytes.'],
      },
      hidden: true,
    },
    assert_can_host_ha_statefile: {
      doc: 'Fails with the reason if the state file of High Availability could not be kept in it.',
      role: 'pool-operator',
      self: 'sr',
      async: true,
    },
    assert_supports_database_replication: {
      frees: true,
      doc: 'Fails with the reason if the pool database could not be replicated to it.',
      role: 'pool-operator',
      self: 'sr',
      async: true,
    },
    enable_database_replication: {
      doc: 'Starts to keep a copy of the pool database in it, for recovery after a disaster.',
      role: 'pool-operator',
      self: 'sr',
      async: true,
    },
    disable_database_replication: {
      doc: "Stops to keep a copy of the pool database in it and deletes the copy's disk.",
      role: 'pool-operator',
      self: 'sr',
      async: true,
    },
    get_data_sources: {
      doc: 'Lists the measurements that exist for the repository.',
      role: 'read-only',
      self: 'sr',
      result: set(record('data_source')),
    },
    record_data_source: {
      doc: 'Starts to record a measurement that is off by default.',
      role: 'pool-operator',
      self: 'sr',
      params: {
        data_source: [string, 'Name of the measurement.'],
      },
    },
    query_data_source: {
      doc: 'Returns the latest value of a measurement.',
      role: 'read-only',
      self: 'sr',
      params: {
        data_source: [string, 'Name of the measurement.'],
      },
      result: float,
    },
    forget_data_source_archives: {
      doc: 'Deletes what was recorded of a measurement and stops to record it.',
      role: 'pool-operator',
      self: 'sr',
      params: {
        data_source: [string, 'Name of the measurement.'],
      },
    },
    get_live_hosts: {
      doc: 'Lists the live hosts that have it plugged in.',
      role: 'pool-operator',
      self: 'sr',
      result: set(ref('host')),
      async: true,
      hidden: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    SR: typeof SR;
  }
}
