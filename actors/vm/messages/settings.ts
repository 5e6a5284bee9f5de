import type { Messages } from '../../../src/model/class.ts';
import {
  bool,
  confidential,
  float,
  int,
  label,
  map,
  ref,
  set,
  string,
  stringMap,
} from '../../../src/model/types.ts';
import { domainType } from '../../enums.ts';
import { onCrashBehaviour, updateStatus, vmOperations, vmSecurebootReadiness, vmUefiMode } from '../enums.ts';
import { firmwareVariable } from '../types.ts';

export const settings = {
  set_protection_policy: {
    doc: 'No longer offered: put the VM under a protection policy.',
    role: 'pool-operator',
    self: 'self',
    params: {
      value: [ref('VMPP'), 'Policy; null for none.'],
    },
    removed: true,
  },
  set_snapshot_schedule: {
    doc: 'Puts the VM under a snapshot schedule or takes it out.',
    role: 'pool-operator',
    self: 'self',
    params: {
      value: [ref('VMSS'), 'Schedule; null for none.'],
    },
  },
  set_start_delay: {
    doc: 'Sets the wait after this VM in a start sequence.',
    role: 'pool-operator',
    self: 'self',
    params: {
      value: [int, 'Seconds; 0 or more.'],
    },
    async: true,
  },
  set_shutdown_delay: {
    doc: 'Sets the wait after this VM in a shutdown sequence.',
    role: 'pool-operator',
    self: 'self',
    params: {
      value: [int, 'Seconds; 0 or more.'],
    },
    async: true,
  },
  set_order: {
    doc: 'Sets the place of the VM in start and shutdown sequences.',
    role: 'pool-operator',
    self: 'self',
    params: {
      value: [int, '0 or more; lower starts first.'],
    },
    async: true,
  },
  set_suspend_VDI: {
    doc: 'Replaces the memory image of a suspended VM, for images copied by disaster recovery.',
    role: 'pool-operator',
    self: 'self',
    params: {
      value: [ref('VDI'), 'Disk with the image.'],
    },
    async: true,
  },
  assert_can_be_recovered: {
    doc: 'Fails with the reason if the VM of a replicated database could not be recovered here.',
    role: 'read-only',
    self: 'self',
    params: {
      session_to: [confidential(ref('session')), 'Session of the pool that would receive it.'],
    },
    errors: ['VM_IS_PART_OF_AN_APPLIANCE', 'VM_REQUIRES_SR'],
    async: true,
  },
  get_SRs_required_for_recovery: {
    doc: 'Lists the storage repositories that must be attached before the VM can be recovered.',
    role: 'read-only',
    self: 'self',
    params: {
      session_to: [confidential(ref('session')), 'Session of the pool that would receive it.'],
    },
    result: set(ref('SR')),
    async: true,
  },
  recover: {
    doc: 'Brings the VM of a replicated database into a pool.',
    role: 'read-only',
    self: 'self',
    params: {
      session_to: [confidential(ref('session')), 'Session of the pool that receives it.'],
      force: [bool, 'True replaces a VM of the same identity that is already there and newer.'],
    },
    async: true,
  },
  import_convert: {
    doc: "Imports a VM from another vendor's server by way of the conversion appliance.",
    role: 'vm-admin',
    params: {
      type: [string, 'Kind of the server.'],
      username: [string, 'User to log in there as.'],
      password: [confidential(string), 'Password of that user.'],
      sr: [ref('SR'), 'Where the disks go.'],
      remote_config: [stringMap, 'Address of the server, name of the VM and other settings.'],
    },
    async: true,
  },
  set_appliance: {
    doc: 'Makes the VM part of an appliance or takes it out.',
    role: 'pool-operator',
    self: 'self',
    params: {
      value: [ref('VM_appliance'), 'Appliance; null for none.'],
    },
    async: true,
  },
  set_groups: {
    doc: 'Puts the VM into placement groups in place of those it was in.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [set(ref('VM_group')), 'Groups; at most one.'],
    },
    errors: ['OPERATION_NOT_ALLOWED'],
    async: true,
  },
  query_services: {
    doc: 'Lists what a system domain offers to the pool, by kind.',
    role: 'pool-admin',
    self: 'self',
    result: stringMap,
    async: true,
  },
  call_plugin: {
    doc: 'Runs a function inside the guest by way of its agent, and returns what it said.',
    role: 'vm-operator',
    self: 'vm',
    params: {
      plugin: [label, 'Plugin known to the agent.'],
      fn: [label, 'Function of the plugin.'],
      args: [stringMap, 'Arguments by name.'],
    },
    result: string,
    async: true,
  },
  call_host_plugin: {
    doc: 'Runs a plugin on the host of the guest, with the VM as its subject.',
    role: 'vm-operator',
    self: 'vm',
    params: {
      plugin: [label, 'Plugin that is installed on the host.'],
      fn: [label, 'Function of the plugin.'],
      args: [stringMap, 'Arguments by name.'],
    },
    result: string,
    async: true,
  },
  set_has_vendor_device: {
    doc: 'Shows or hides the device through which Windows Update delivers drivers; the VM must be halted.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [bool, 'True to show it.'],
    },
    async: true,
  },
  import: {
    doc: 'Fetches an exported VM from a URL and imports it.',
    role: 'pool-operator',
    params: {
      url: [confidential(string), 'HTTP or HTTPS address of the exported file.'],
      sr: [ref('SR'), 'Where the disks go.'],
      full_restore: [bool, 'True keeps identities and network addresses, as when restoring a backup.'],
      force: [bool, 'True imports in spite of warnings such as missing CPU features.'],
    },
    result: set(ref('VM')),
    async: true,
  },
  set_actions_after_crash: {
    doc: 'Chooses what follows a crash of the guest.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [onCrashBehaviour, 'Action to take.'],
    },
    async: true,
  },
  set_domain_type: {
    doc: 'Chooses how the guest is virtualised at its next boot; the VM must be halted.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [domainType, 'Kind of domain; `unspecified` is not accepted.'],
    },
  },
  set_HVM_boot_policy: {
    doc: 'Older way to choose between emulated firmware and a paravirtualised boot.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [string, '`BIOS order`, or empty for a paravirtualised boot.'],
    },
  },
  set_NVRAM_EFI_variables: {
    doc: 'Stores the UEFI variables that the firmware of a running guest has changed.',
    role: '_local_root_',
    self: 'self',
    params: {
      value: [firmwareVariable, 'All variables, encoded by the firmware.'],
      update: [
        updateStatus,
        'Whether the firmware found its Secure Boot certificates out of date.',
        'unspecified',
      ],
    },
    hidden: true,
  },
  restart_device_models: {
    doc: 'Replaces the device emulator of a running guest by a fresh one, as after an update.',
    role: 'vm-power-admin',
    certificate: true,
    self: 'self',
    errors: ['VM_BAD_POWER_STATE', 'OTHER_OPERATION_IN_PROGRESS', 'VM_IS_TEMPLATE', 'OPERATION_NOT_ALLOWED'],
    async: true,
  },
  set_uefi_mode: {
    doc: 'Leaves or enters the setup mode of Secure Boot, in which the guest may enrol keys.',
    role: 'pool-admin',
    self: 'self',
    params: {
      mode: [vmUefiMode, 'Mode wanted.'],
    },
    result: string,
    async: true,
  },
  get_secureboot_readiness: {
    doc: 'Tells whether Secure Boot would work for the VM and, if not, what is missing.',
    role: 'pool-admin',
    self: 'self',
    result: vmSecurebootReadiness,
    async: true,
  },
  update_secureboot_certificates_on_boot: {
    doc: 'Has newer Secure Boot certificates put in at the next boot, or cancels that.',
    role: 'vm-admin',
    self: 'self',
    params: {
      mark: [bool, 'True to put them in, false to cancel.'],
    },
    async: true,
  },
  set_blocked_operations: {
    doc: 'Replaces the list of operations that nobody may start.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [map(vmOperations, string), 'The reason to tell, by operation.'],
    },
    async: true,
  },
  add_to_blocked_operations: {
    doc: 'Blocks one more operation.',
    role: 'vm-admin',
    self: 'self',
    params: {
      key: [vmOperations, 'Operation to block.'],
      value: [string, 'The reason to tell those who try.'],
    },
    async: true,
  },
  remove_from_blocked_operations: {
    frees: true,
    doc: 'Allows a blocked operation again; one that is not blocked is no error.',
    role: 'vm-admin',
    self: 'self',
    params: {
      key: [vmOperations, 'Operation to allow.'],
    },
    async: true,
  },
  sysprep: {
    doc: 'Runs Windows System Preparation inside the guest with the given answer file.',
    role: 'vm-admin',
    self: 'self',
    params: {
      unattend: [confidential(string), 'The answer file, as XML.'],
      timeout: [float, 'Seconds to wait for the guest to carry it out.'],
    },
    async: true,
  },
  add_to_other_config: {
    doc: 'Adds one entry to the settings; the key must be new.',
    role: 'vm-admin',
    self: 'self',
    params: {
      key: [label, 'Name of the entry; some names need a role of their own.'],
      value: [string, 'What it holds.'],
    },
    keyRoles: {
      hvm_serial: 'pool-admin',
      pci: 'pool-admin',
      folder: 'vm-operator',
      'XenCenter.CustomFields.*': 'vm-operator',
    },
  },
  remove_from_other_config: {
    frees: true,
    doc: 'Deletes one entry of the settings; a missing one is no error.',
    role: 'vm-admin',
    self: 'self',
    params: {
      key: [label, 'Name of the entry; some names need a role of their own.'],
    },
    keyRoles: {
      hvm_serial: 'pool-admin',
      pci: 'pool-admin',
      folder: 'vm-operator',
      'XenCenter.CustomFields.*': 'vm-operator',
    },
  },
  set_other_config: {
    doc: 'Replaces all settings; entries with guarded keys must stay as they are.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [stringMap, 'The new settings.'],
    },
  },
  add_to_platform: {
    doc: 'Adds one switch of the virtual hardware; the key must be new.',
    role: 'vm-admin',
    self: 'self',
    params: {
      key: [label, 'Name of the switch; `hvm_serial` needs a role of its own.'],
      value: [string, 'Its setting.'],
    },
    keyRoles: { hvm_serial: 'pool-admin' },
  },
  remove_from_platform: {
    frees: true,
    doc: 'Deletes one switch of the virtual hardware, which goes back to its default.',
    role: 'vm-admin',
    self: 'self',
    params: {
      key: [label, 'Name of the switch; `hvm_serial` needs a role of its own.'],
    },
    keyRoles: { hvm_serial: 'pool-admin' },
  },
  set_platform: {
    doc: 'Replaces all switches of the virtual hardware; each is checked first.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [stringMap, 'The new switches.'],
    },
  },
} as const satisfies Messages;
