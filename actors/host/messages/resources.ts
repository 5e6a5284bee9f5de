import type { Messages } from '../../../src/model/class.ts';
import { bool, ref, string, stringMap } from '../../../src/model/types.ts';
import { hostDisplay } from '../enums.ts';

/** What VMs need of the host. */
export const resources = {
  migrate_receive: {
    doc: 'Get ready to take in a VM of another pool; answers what its host needs for the move.',
    role: 'vm-power-admin',
    self: 'host',
    params: {
      network: [ref('network'), 'Network to receive it over.'],
      options: [stringMap, 'Settings of the move.'],
    },
    result: stringMap,
    async: true,
  },
  declare_dead: {
    frees: true,
    doc: 'Say that a host is surely off, so that its VMs count as halted; wrong use corrupts disks.',
    role: 'pool-operator',
    self: 'host',
    async: true,
  },
  enable_display: {
    doc: 'Give screen and graphics card back to the control domain, at the next restart.',
    role: 'pool-operator',
    self: 'host',
    result: hostDisplay,
    async: true,
  },
  disable_display: {
    doc: 'Free screen and graphics card for VMs, at the next restart.',
    role: 'pool-operator',
    self: 'host',
    result: hostDisplay,
    async: true,
  },
  set_ssl_legacy: {
    doc: 'Accepted for old clients; only false can be set.',
    role: 'pool-operator',
    self: 'self',
    params: { value: [bool, 'Must be false.'] },
    async: true,
  },
  apply_guest_agent_config: {
    doc: "Pass the pool's settings on to agents in all VMs of the host.",
    role: 'pool-admin',
    self: 'host',
    async: true,
    hidden: true,
  },
  mxgpu_vf_setup: {
    doc: 'Get AMD graphics cards ready to be shared.',
    role: 'vm-operator',
    self: 'host',
    async: true,
    poolInternal: true,
    hidden: true,
  },
  nvidia_vf_setup: {
    doc: 'Get an NVIDIA graphics card ready to be shared.',
    role: 'vm-operator',
    self: 'host',
    params: { pf: [ref('PCI'), 'Card to prepare.'], enable: [bool, 'True to share it, false to stop.'] },
    async: true,
    poolInternal: true,
    hidden: true,
  },
  allocate_resources_for_vm: {
    doc: 'Set aside what a VM needs before it comes to the host.',
    role: 'vm-operator',
    self: 'self',
    params: { vm: [ref('VM'), 'VM that will come.'], live: [bool, 'True if it comes running.'] },
    async: true,
    hidden: true,
  },
  set_iscsi_iqn: {
    doc: 'Change the name for logging in to iSCSI storage; nothing may be attached by it.',
    role: 'pool-operator',
    self: 'host',
    params: { value: [string, 'New qualified name.'] },
    async: true,
  },
  set_multipathing: {
    doc: 'Reach storage by all paths, or by one; no SR may be plugged on the host.',
    role: 'pool-operator',
    self: 'host',
    params: { value: [bool, 'True for all paths.'] },
    async: true,
  },
} as const satisfies Messages;
