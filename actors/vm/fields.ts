import { dyn, type Fields, ro, rw } from '../../src/model/class.ts';
import {
  bool,
  confidential,
  datetime,
  epoch,
  float,
  int,
  label,
  longText,
  map,
  nullRef,
  ref,
  set,
  string,
  stringMap,
} from '../../src/model/types.ts';
import { domainType, updateGuidances } from '../enums.ts';
import {
  onCrashBehaviour,
  onNormalExit,
  onSoftrebootBehavior,
  vmOperations,
  vmPowerState,
  vmSecurebootCertificatesState,
} from './enums.ts';
import { firmwareVariables } from './types.ts';

export const fields = {
  uuid: dyn(string, 'Identity that outlives a move to another pool, unlike the reference.'),
  allowed_operations: dyn(
    set(vmOperations),
    'Operations that would be admitted now; it changes with every state change, so treat it as a hint.',
    { default: [], persist: false },
  ),
  current_operations: dyn(
    map(string, vmOperations),
    'What runs on the VM at this moment, by the task that runs it.',
    { default: new Map(), persist: false },
  ),
  name_label: rw(label, 'Name shown to people; it need not be unique.', {
    default: '',
    column: 'name__label',
  }),
  name_description: rw(string, 'Free text shown beside the name.', {
    default: '',
    column: 'name__description',
  }),
  power_state: ro(
    vmPowerState,
    'Whether a domain exists, whether it runs, or whether its memory image waits on disk.',
    { default: 'Halted' },
  ),
  user_version: rw(int, 'A number for clients to keep with the VM; nothing reads it.'),
  is_a_template: rw(bool, 'True for a template, which cannot be started but can be cloned.'),
  is_default_template: dyn(
    bool,
    'True for a template that came with the installation; it cannot be destroyed.',
    { default: false },
  ),
  suspend_VDI: ro(ref('VDI'), 'Disk with the memory image; null unless suspended or taken as a checkpoint.', {
    default: nullRef,
    gone: 'cleared',
  }),
  resident_on: dyn(ref('host'), 'Host that runs the VM; null when it is halted or suspended.', {
    inverse: 'host.resident_VMs',
    gone: 'cleared',
  }),
  scheduled_to_be_resident_on: dyn(
    ref('host'),
    'Host that has set memory aside while a start, resume or migration is on its way.',
    { default: nullRef, indexed: true, gone: 'cleared' },
  ),
  affinity: rw(ref('host'), 'Host to prefer when the VM starts; null leaves the choice to the pool.', {
    writeRole: 'vm-power-admin',
    gone: 'cleared',
  }),
  memory_overhead: dyn(int, "Bytes the hypervisor needs for this VM beyond the guest's own memory.", {
    default: 0n,
    column: 'memory__overhead',
  }),
  memory_target: ro(int, 'Bytes the balloon was last told to aim for; use the dynamic range to change it.', {
    default: 0n,
    column: 'memory__target',
  }),
  memory_static_max: ro(int, 'Most bytes the guest can ever see; fixed while it runs.', {
    column: 'memory__static_max',
  }),
  memory_dynamic_max: ro(int, 'Upper end, in bytes, of the range that ballooning may use at run time.', {
    column: 'memory__dynamic_max',
  }),
  memory_dynamic_min: ro(int, 'Lower end, in bytes, of the range that ballooning may use at run time.', {
    column: 'memory__dynamic_min',
  }),
  memory_static_min: ro(int, 'Fewest bytes the guest can work with; the dynamic range never goes below it.', {
    column: 'memory__static_min',
  }),
  VCPUs_params: rw(
    stringMap,
    'Scheduler settings by name: `weight`, `cap`, and `mask` for the CPUs to run on.',
    { column: 'VCPUs__params' },
  ),
  VCPUs_max: ro(int, 'Most virtual CPUs the guest can be given without a reboot.', { column: 'VCPUs__max' }),
  VCPUs_at_startup: ro(int, 'Virtual CPUs that are online when the guest boots; at most `VCPUs_max`.', {
    column: 'VCPUs__at_startup',
  }),
  actions_after_softreboot: rw(
    onSoftrebootBehavior,
    'What follows when the guest asks to restart in place, keeping its domain.',
    { default: 'soft_reboot', column: 'actions__after_softreboot' },
  ),
  actions_after_shutdown: rw(onNormalExit, 'What follows when the guest powers itself off.', {
    column: 'actions__after_shutdown',
  }),
  actions_after_reboot: rw(onNormalExit, 'What follows when the guest reboots itself.', {
    column: 'actions__after_reboot',
  }),
  actions_after_crash: ro(
    onCrashBehaviour,
    'What follows when the guest crashes, including whether its memory is dumped.',
    { column: 'actions__after_crash' },
  ),
  consoles: dyn(set(ref('console')), "Ways to reach the guest's screen or terminal; filled while it runs.", {
    inverse: 'console.VM',
    computed: true,
  }),
  VIFs: dyn(set(ref('VIF')), 'Network cards, plugged or not.', { inverse: 'VIF.VM', computed: true }),
  VBDs: dyn(set(ref('VBD')), 'Disk and CD drives, plugged or not.', { inverse: 'VBD.VM', computed: true }),
  VUSBs: dyn(set(ref('VUSB')), 'Host USB devices that are passed through to the guest.', {
    inverse: 'VUSB.VM',
    computed: true,
  }),
  crash_dumps: dyn(set(ref('crashdump')), 'Memory dumps of past crashes; no longer produced.', {
    inverse: 'crashdump.VM',
    computed: true,
  }),
  VTPMs: dyn(set(ref('VTPM')), 'Virtual trusted platform modules; at most one.', {
    inverse: 'VTPM.VM',
    computed: true,
  }),
  PV_bootloader: rw(
    string,
    "Program that finds a paravirtualised guest's kernel on its disk; empty boots `PV_kernel` directly.",
    { column: 'PV__bootloader' },
  ),
  PV_kernel: rw(
    string,
    'Path of the kernel in the folder of guest kernels of the host, ' +
      'or inside the disk when a bootloader is set.',
    {
      column: 'PV__kernel',
    },
  ),
  PV_ramdisk: rw(string, 'Path of the initial RAM disk that goes with `PV_kernel`.', {
    column: 'PV__ramdisk',
  }),
  PV_args: rw(string, "Command line of a paravirtualised guest's kernel.", { column: 'PV__args' }),
  PV_bootloader_args: rw(string, 'Extra arguments for the bootloader program.', {
    column: 'PV__bootloader_args',
  }),
  PV_legacy_args: rw(
    string,
    'Kernel command line for guests of a very old release, which ignore `PV_args`.',
    { column: 'PV__legacy_args' },
  ),
  HVM_boot_policy: ro(
    string,
    '`BIOS order` for a guest with emulated firmware, empty otherwise; `domain_type` supersedes it.',
    { column: 'HVM__boot_policy' },
  ),
  HVM_boot_params: rw(
    stringMap,
    'Firmware settings: `order` lists boot devices (c disk, d CD, n network), `firmware` is bios or uefi.',
    { column: 'HVM__boot_params' },
  ),
  HVM_shadow_multiplier: ro(float, 'Factor on the memory kept for shadow page tables; 1.0 or more.', {
    default: 1,
    column: 'HVM__shadow_multiplier',
  }),
  platform: ro(
    stringMap,
    'Virtual hardware switches such as `acpi`, `viridian` and `nx`; effective from the next boot.',
    { keyRoles: { hvm_serial: 'pool-admin' } },
  ),
  PCI_bus: rw(string, 'Without effect; devices to pass through are listed in `other_config:pci`.'),
  other_config: ro(
    stringMap,
    'Settings of clients and some of ours; certain keys need a role of their own.',
    {
      keyRoles: {
        pci: 'pool-admin',
        hvm_serial: 'pool-admin',
        folder: 'vm-operator',
        'XenCenter.CustomFields.*': 'vm-operator',
      },
    },
  ),
  domid: dyn(
    int,
    'Number of the domain on its host; it changes with each boot and migration, and is -1 without a domain.',
  ),
  domarch: dyn(string, 'Architecture the domain was built for; empty when there is none.'),
  last_boot_CPU_flags: ro(
    stringMap,
    'CPU vendor and features the guest booted with; a host that lacks them cannot take it over.',
    { default: new Map() },
  ),
  is_control_domain: dyn(bool, 'True for a domain that belongs to the host, such as domain 0.'),
  metrics: dyn(ref('VM_metrics'), 'Figures the host measures for this VM.', { gone: 'cleared' }),
  guest_metrics: dyn(
    ref('VM_guest_metrics'),
    'Figures the agent inside the guest reports; null until it has reported.',
    { gone: 'cleared' },
  ),
  last_booted_record: ro(longText, 'Record of the VM as it was at its last start, as text.', { default: '' }),
  recommendations: rw(
    string,
    'XML with the limits a client should suggest, such as the most memory or disks.',
  ),
  xenstore_data: rw(
    stringMap,
    "Entries put into the guest's xenstore directory at start; keys begin with `vm-data/`.",
    { default: new Map() },
  ),
  ha_always_run: ro(bool, 'True when High Availability protects the VM; it follows `ha_restart_priority`.', {
    default: false,
  }),
  ha_restart_priority: ro(
    string,
    '`restart` for guaranteed restarts, `best-effort` for attempts, empty for no protection.',
    { default: '' },
  ),
  is_a_snapshot: dyn(
    bool,
    'True for a snapshot, which can be reverted to, cloned or exported but not started.',
    { default: false },
  ),
  snapshot_of: dyn(ref('VM'), 'The VM this snapshot was taken of; it may be gone.', {
    default: nullRef,
    inverse: 'VM.snapshots',
    gone: 'stays',
  }),
  snapshots: dyn(set(ref('VM')), 'Snapshots taken of this VM.', {
    inverse: 'VM.snapshot_of',
    computed: true,
  }),
  snapshot_time: dyn(datetime, 'When the snapshot was taken, in UTC; 1970 for what is no snapshot.', {
    default: epoch,
  }),
  transportable_snapshot_id: dyn(
    string,
    'Identity that Windows gave a quiesced snapshot; empty for all new ones.',
    { default: '' },
  ),
  blobs: dyn(map(string, ref('blob')), 'Binary attachments by name.', {
    default: new Map(),
    gone: 'cleared',
  }),
  tags: rw(set(string), 'Words for grouping and searching.', { default: [], writeRole: 'vm-operator' }),
  blocked_operations: ro(
    map(vmOperations, string),
    'Operations nobody may start, each with the reason to tell.',
    { default: new Map() },
  ),
  snapshot_info: dyn(stringMap, 'Facts about the snapshot, such as the power state at the time.', {
    default: new Map(),
  }),
  snapshot_metadata: dyn(
    longText,
    "The VM's record at the time of the snapshot, as text; reverting restores it.",
    { default: '' },
  ),
  parent: dyn(ref('VM'), 'Snapshot this VM or snapshot continues from; null at the root of the tree.', {
    default: nullRef,
    inverse: 'VM.children',
    gone: 'cleared',
  }),
  children: dyn(set(ref('VM')), 'The VM and snapshots that continue from this one.', {
    inverse: 'VM.parent',
    computed: true,
  }),
  bios_strings: dyn(
    stringMap,
    'Firmware strings the guest reads over SMBIOS, such as `bios-vendor`; can be set once.',
    { default: new Map() },
  ),
  protection_policy: ro(
    ref('VMPP'),
    'Always null, since protection policies were replaced by snapshot schedules.',
    { default: nullRef, inverse: 'VMPP.VMs', gone: 'cleared' },
  ),
  is_snapshot_from_vmpp: ro(bool, 'True for a snapshot made by a protection policy of an old release.', {
    default: false,
    removed: true,
  }),
  snapshot_schedule: ro(ref('VMSS'), 'Schedule by which snapshots are taken; null for none.', {
    default: nullRef,
    inverse: 'VMSS.VMs',
    gone: 'cleared',
  }),
  is_vmss_snapshot: ro(bool, 'True for a snapshot taken by a schedule, which also retires it.', {
    default: false,
  }),
  appliance: ro(ref('VM_appliance'), 'Group of VMs that start and stop together; null for none.', {
    default: nullRef,
    inverse: 'VM_appliance.VMs',
    gone: 'cleared',
  }),
  start_delay: ro(int, 'Seconds to wait after this VM started before the next `order` is started.', {
    default: 0n,
  }),
  shutdown_delay: ro(int, 'Seconds to wait after this VM stopped before the next `order` is stopped.', {
    default: 0n,
  }),
  order: ro(int, 'Place in the start sequence of an appliance or of High Availability; lower starts first.', {
    default: 0n,
  }),
  VGPUs: dyn(set(ref('VGPU')), 'Virtual graphics cards.', { inverse: 'VGPU.VM', computed: true }),
  attached_PCIs: dyn(set(ref('PCI')), 'Host devices that are passed through at the moment.', {
    inverse: 'PCI.attached_VMs',
    gone: 'cleared',
  }),
  suspend_SR: rw(
    ref('SR'),
    "Where suspending writes the memory image; null takes the pool's or the host's choice.",
    { default: nullRef, gone: 'cleared' },
  ),
  version: ro(int, 'How often the VM was recovered after a disaster; the highest number is the live copy.', {
    default: 0n,
  }),
  generation_id: ro(
    string,
    'Changes when a copy or revert turns back time, for guests that watch it; empty switches it off.',
    { default: '0:0' },
  ),
  hardware_platform_version: rw(int, 'Oldest virtual hardware a host must offer to run this VM.', {
    default: 0n,
  }),
  has_vendor_device: ro(
    bool,
    'True shows Windows a device for which Windows Update delivers the guest drivers.',
    { default: true },
  ),
  requires_reboot: dyn(bool, 'True when a change or update needs a reboot of the guest to take effect.', {
    default: false,
  }),
  reference_label: ro(string, 'Language-independent name of the template that the VM descends from.', {
    default: '',
  }),
  domain_type: ro(
    domainType,
    'How the guest is virtualised at its next boot; decides which boot settings count.',
    { default: 'unspecified' },
  ),
  NVRAM: ro(firmwareVariables, 'Firmware variables of a UEFI guest, including its Secure Boot keys.', {
    default: new Map(),
  }),
  pending_guidances: dyn(
    set(updateGuidances),
    'What installed updates require to be done to the VM before they are fully effective.',
    { default: [] },
  ),
  recommended_guidances: dyn(
    set(updateGuidances),
    'Recommendations of updates as older hosts of a pool record them.',
    { default: [], internal: true },
  ),
  pending_guidances_recommended: dyn(
    set(updateGuidances),
    'What installed updates advise to do; leaving it undone is safe.',
    { default: [] },
  ),
  pending_guidances_full: dyn(
    set(updateGuidances),
    'All that would make every installed update fully effective.',
    { default: [] },
  ),
  groups: dyn(set(ref('VM_group')), 'Placement groups the VM belongs to; at most one.', {
    inverse: 'VM_group.VMs',
    gone: 'cleared',
  }),
  leftovers: dyn(
    map(ref('VDI'), ref('host')),
    'Disks to be destroyed unless somebody has them, by the host whose work on the VM made or replaced them.',
    { default: new Map(), internal: true, ours: true, gone: 'stays' },
  ),
  departure: dyn(
    map(string, confidential(string)),
    'Where the VM is being sent, and the task there, until it is known on which side it is.',
    { default: new Map(), internal: true, ours: true },
  ),
  imported_by: dyn(
    ref('host'),
    'Host that fills the disks of the VM as it arrives, or clears them as it left.',
    {
      ...{ default: nullRef, internal: true, ours: true, gone: 'cleared' },
    },
  ),
  agent_called: dyn(int, 'When its agent was last called by a client, in milliseconds since 1970.', {
    ...{ default: 0n, internal: true, ours: true, persist: false },
  }),
  secureboot_certificates_state: dyn(
    vmSecurebootCertificatesState,
    'Whether newer Secure Boot certificates exist for the guest and when they will be put in.',
    { default: 'ok' },
  ),
} satisfies Fields;
