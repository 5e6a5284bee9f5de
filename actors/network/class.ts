import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, int, label, map, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const networkOperations = oneOf('network_operations', ['attaching']);
export const networkDefaultLockingMode = oneOf('network_default_locking_mode', ['unlocked', 'disabled']);
export const networkPurpose = oneOf('network_purpose', ['nbd', 'insecure_nbd']);

export const network = defineClass('network', {
  doc: 'A virtual Ethernet of the pool. It spans those hosts that have a PIF on it.',
  since,
  writeRole: 'vm-admin',
  constructible: true,
  takes: ['blobs'],
  fields: {
    uuid: dyn(string, 'Names the network for good, across hosts and restarts.'),
    name_label: rw(label, 'Name for people; it need not be unique.', {
      default: '',
      writeRole: 'pool-operator',
      column: 'name__label',
    }),
    name_description: rw(string, 'Longer text for people.', {
      default: '',
      writeRole: 'pool-operator',
      column: 'name__description',
    }),
    allowed_operations: dyn(set(networkOperations), 'What can be done to the network now.', {
      default: [],
      persist: false,
    }),
    current_operations: dyn(
      map(string, networkOperations),
      'Tasks that work on the network now, and what each does.',
      { default: new Map(), persist: false },
    ),
    VIFs: dyn(set(ref('VIF')), 'Virtual interfaces of VMs that plug into the network.', {
      inverse: 'VIF.network',
      computed: true,
    }),
    PIFs: dyn(
      set(ref('PIF')),
      'Host interfaces that connect the network to the outside, at most one on each host.',
      { inverse: 'PIF.network', computed: true },
    ),
    MTU: rw(int, 'Largest packet in bytes; takes effect when interfaces are next plugged.', {
      default: 1500n,
    }),
    other_config: rw(stringMap, 'Free for clients; some keys, such as `ethtool-gso`, tune the bridge.', {
      writeRole: 'pool-operator',
      keyRoles: {
        folder: 'vm-operator',
        'XenCenter.CustomFields.*': 'vm-operator',
        XenCenterCreateInProgress: 'vm-operator',
      },
    }),
    bridge: ro(label, 'Name of the bridge on every host; empty lets the server choose one.', {
      default: '',
    }),
    managed: ro(bool, 'False for a bridge that somebody else sets up and that is only used here.', {
      default: true,
    }),
    blobs: dyn(map(string, ref('blob')), 'Binary data kept with the network, by name.', {
      default: new Map(),
      gone: 'cleared',
    }),
    tags: rw(set(string), 'Words for searching and grouping, set by users.', {
      default: [],
      writeRole: 'vm-operator',
    }),
    default_locking_mode: dyn(
      networkDefaultLockingMode,
      'Whether VIFs in mode `network_default` may send anything (unlocked) or nothing.',
      { default: 'unlocked' },
    ),
    assigned_ips: dyn(map(ref('VIF'), string), 'Addresses given out on an internal network, by VIF.', {
      default: new Map(),
      gone: 'cleared',
    }),
    purpose: dyn(set(networkPurpose), 'Services that hosts offer on this network, such as NBD.', {
      default: [],
    }),
  },
  messages: {
    attach: {
      doc: 'Bring the network up on one host, making its bridge if there is none.',
      role: 'pool-operator',
      self: 'network',
      params: { host: [ref('host'), 'Host to bring it up on.'] },
      async: true,
      hidden: true,
    },
    pool_introduce: {
      doc: 'Record a network that a joining host brings along.',
      role: 'pool-operator',
      params: {
        name_label: [label, 'Name for people.'],
        name_description: [string, 'Longer text for people.'],
        MTU: [int, 'Largest packet in bytes.'],
        other_config: [stringMap, 'Taken over as it is.'],
        bridge: [label, 'Name of the bridge on every host.'],
        managed: [bool, 'False if somebody else sets up the bridge.'],
        purpose: [set(networkPurpose), 'Services that hosts offer on the network.'],
      },
      result: ref('network'),
      async: true,
      hidden: true,
    },
    create_new_blob: {
      doc: 'Make an empty blob with the network, to be filled by an HTTP upload.',
      role: 'pool-operator',
      self: 'network',
      params: {
        name: [label, 'Key under which it is found in `blobs`.'],
        mime_type: [string, 'MIME type, empty for `application/octet-stream`.'],
        public: [bool, 'True if it can be read without logging in.', false],
      },
      result: ref('blob'),
      async: true,
    },
    set_default_locking_mode: {
      doc: 'Choose what VIFs without a mode of their own may do; refused while one is plugged.',
      role: 'pool-operator',
      self: 'network',
      params: { value: [networkDefaultLockingMode, 'Mode to use from now on.'] },
      async: true,
    },
    attach_for_vm: {
      doc: 'Bring up all networks of a VM on a host, before the VM comes there.',
      role: 'vm-power-admin',
      params: {
        host: [ref('host'), 'Host the VM will run on.'],
        vm: [ref('VM'), 'VM whose networks are needed.'],
      },
      async: true,
      hidden: true,
    },
    detach_for_vm: {
      doc: 'Give up what `network.attach_for_vm` brought up.',
      role: 'vm-power-admin',
      params: {
        host: [ref('host'), 'Host the VM ran on.'],
        vm: [ref('VM'), 'VM whose networks are no longer needed.'],
      },
      async: true,
      hidden: true,
    },
    add_purpose: {
      doc: 'Start a service on the network; some services exclude each other.',
      role: 'pool-admin',
      self: 'self',
      params: { value: [networkPurpose, 'Service to start.'] },
      errors: ['NETWORK_INCOMPATIBLE_PURPOSES'],
      async: true,
    },
    remove_purpose: {
      frees: true,
      doc: 'Stop a service on the network; one that is not there is no error.',
      role: 'pool-admin',
      self: 'self',
      params: { value: [networkPurpose, 'Service to stop.'] },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    network: typeof network;
  }
}
