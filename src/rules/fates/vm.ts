import { but, type Fate, type Fates, type Made as MadeFields } from './fate.ts';

/** `revive` is a revert of a VM that is gone. */
export const vmOrigins = ['create', 'clone', 'copy', 'snapshot', 'checkpoint', 'revert', 'revive'] as const;
export type VmOrigin = (typeof vmOrigins)[number];

type Revived<R extends Fate> = R extends 'kept' ? 'default' : R;

/** Copying is cloning with other disks, and a checkpoint a snapshot with memory. */
const row = <const C extends Fate, const T extends Fate, const S extends Fate, const R extends Fate>(
  create: C,
  clone: T,
  snapshot: S,
  revert: R,
  why: string,
) => {
  const revive = (revert === 'kept' ? 'default' : revert) as Revived<R>;
  return { create, clone, copy: clone, snapshot, checkpoint: snapshot, revert, revive, why };
};

const settings = row('copied', 'copied', 'copied', 'copied', 'A setting of the VM, part of what it is.');
const derived = row('derived', 'derived', 'derived', 'derived', 'Follows from other rows.');
const place = (why: string) => row('default', 'default', 'default', 'made', `${why} A halted VM has none.`);
const sequence = row(
  'copied',
  'default',
  'default',
  'copied',
  'Place in a sequence of starts: a copy is in none, but the VM is again where it was.',
);
const ofSnapshots = (why: string) => row('default', 'default', 'made', 'copied', why);
const guidance = row(
  'default',
  'default',
  'default',
  'made',
  'What updates require of a running guest; what the next boot settles is dropped.',
);

export const vmFates = {
  uuid: but(row('made', 'made', 'made', 'kept', 'Identity; a VM that comes back has the one it had.'), {
    revive: 'copied',
  }),
  allowed_operations: derived,
  current_operations: row('default', 'default', 'default', 'kept', 'What runs on this VM alone.'),
  name_label: row('copied', 'made', 'made', 'copied', 'A copy has the name that the client gives.'),
  name_description: settings,
  power_state: but(
    row('made', 'made', 'default', 'made', 'Halted, or Suspended where the memory image came along.'),
    { checkpoint: 'made' },
  ),
  user_version: settings,
  is_a_template: row('copied', 'copied', 'made', 'copied', 'A snapshot is one, and so are its clones.'),
  is_default_template: row(
    'default',
    'default',
    'default',
    'copied',
    'Only what came with the installation.',
  ),
  suspend_VDI: but(row('made', 'made', 'default', 'made', 'A memory image of its own, or none.'), {
    checkpoint: 'made',
  }),
  resident_on: place('Where it runs.'),
  scheduled_to_be_resident_on: place('Where it is about to run.'),
  affinity: but(
    row('copied', 'copied', 'copied', 'kept', 'Where it should run is a matter of the present.'),
    {
      revive: 'copied',
    },
  ),
  memory_overhead: derived,
  memory_target: row('made', 'copied', 'copied', 'copied', 'A new VM aims for the most it may have.'),
  memory_static_max: settings,
  memory_dynamic_max: settings,
  memory_dynamic_min: settings,
  memory_static_min: settings,
  VCPUs_params: settings,
  VCPUs_max: settings,
  VCPUs_at_startup: settings,
  actions_after_softreboot: settings,
  actions_after_shutdown: settings,
  actions_after_reboot: settings,
  actions_after_crash: settings,
  consoles: derived,
  VIFs: derived,
  VBDs: derived,
  VUSBs: derived,
  crash_dumps: derived,
  VTPMs: derived,
  PV_bootloader: settings,
  PV_kernel: settings,
  PV_ramdisk: settings,
  PV_args: settings,
  PV_bootloader_args: settings,
  PV_legacy_args: settings,
  HVM_boot_policy: row('made', 'copied', 'copied', 'copied', 'Of two ways to say it the newer one counts.'),
  HVM_boot_params: settings,
  HVM_shadow_multiplier: settings,
  platform: settings,
  PCI_bus: settings,
  other_config: row(
    'made',
    'made',
    'made',
    'copied',
    'A new VM and a copy have a seed of addresses of their own, a snapshot the same one; a ' +
      'copy of a template ' +
      'says which, and is not one that came with the installation.',
  ),
  domid: row('made', 'made', 'made', 'made', 'There is no domain.'),
  domarch: row('default', 'default', 'default', 'copied', 'Of the domain that was.'),
  last_boot_CPU_flags: row('made', 'copied', 'copied', 'copied', 'Means something with a memory image.'),
  is_control_domain: row('default', 'copied', 'copied', 'copied', 'Clients cannot make one.'),
  metrics: row('made', 'made', 'made', 'made', 'Figures of its own, which begin with those of the original.'),
  guest_metrics: row('default', 'made', 'made', 'made', 'Likewise; none if the original had none.'),
  last_booted_record: row('made', 'copied', 'copied', 'copied', 'Goes with the memory image.'),
  recommendations: settings,
  xenstore_data: settings,
  ha_always_run: row('copied', 'default', 'default', 'made', 'Off: nobody has started it yet.'),
  ha_restart_priority: settings,
  is_a_snapshot: ofSnapshots('A snapshot is one; its clones and what is put back are not.'),
  snapshot_of: ofSnapshots('The VM it was taken of.'),
  snapshots: derived,
  snapshot_time: ofSnapshots('When it was taken.'),
  transportable_snapshot_id: row('default', 'default', 'default', 'copied', 'No longer produced.'),
  blobs: row('default', 'default', 'default', 'kept', 'Attachments stay with the VM that has them.'),
  tags: but(row('copied', 'copied', 'copied', 'kept', 'How people sort VMs is a matter of the present.'), {
    revive: 'copied',
  }),
  blocked_operations: row('default', 'default', 'default', 'copied', 'A lock is on one VM, not on copies.'),
  snapshot_info: ofSnapshots('Power state at the time, and how consistent the disks are.'),
  snapshot_metadata: ofSnapshots('The record of the VM, which a revert puts back.'),
  parent: row('default', 'default', 'copied', 'made', 'After a revert the VM continues from the snapshot.'),
  children: derived,
  bios_strings: row('default', 'copied', 'copied', 'copied', 'Set once, and part of what the guest sees.'),
  protection_policy: row('default', 'default', 'default', 'kept', 'Policies are of a release long gone.'),
  is_snapshot_from_vmpp: row('default', 'default', 'default', 'kept', 'Likewise.'),
  snapshot_schedule: row('default', 'default', 'default', 'kept', 'A schedule is asked to take on a VM.'),
  is_vmss_snapshot: row('default', 'default', 'default', 'copied', 'True of what a schedule takes only.'),
  appliance: row(
    'copied',
    'default',
    'default',
    'copied',
    'A copy is in none, but the VM is again where it was.',
  ),
  start_delay: sequence,
  shutdown_delay: sequence,
  order: sequence,
  VGPUs: derived,
  attached_PCIs: place('Devices that it has now.'),
  suspend_SR: row('copied', 'default', 'default', 'copied', 'A copy takes the choice of the pool.'),
  version: row('copied', 'default', 'default', 'copied', 'Counts recoveries of one VM.'),
  generation_id: row('copied', 'made', 'made', 'made', 'Fresh, so that the guest notices; empty stays off.'),
  hardware_platform_version: row('made', 'copied', 'copied', 'copied', 'At least what other settings need.'),
  has_vendor_device: settings,
  requires_reboot: row('default', 'default', 'default', 'made', 'A halted VM needs none.'),
  reference_label: settings,
  domain_type: row(
    'made',
    'copied',
    'copied',
    'copied',
    'Of a new VM that does not say it, from how it boots.',
  ),
  NVRAM: settings,
  pending_guidances: guidance,
  recommended_guidances: guidance,
  pending_guidances_recommended: guidance,
  pending_guidances_full: guidance,
  groups: row('default', 'default', 'default', 'kept', 'Placement is a matter of the present.'),
  leftovers: row('default', 'default', 'default', 'kept', 'Of work on this VM that is not over.'),
  departure: row('default', 'default', 'default', 'kept', 'Of a VM that is leaving.'),
  imported_by: row('default', 'default', 'default', 'kept', 'Of a VM that is arriving.'),
  agent_called: row('default', 'default', 'default', 'kept', 'Keeps clients from troubling this guest.'),
  secureboot_certificates_state: row('default', 'copied', 'copied', 'copied', 'Goes with `NVRAM`.'),
} as const satisfies Fates<'VM', VmOrigin>;

export type VmMade<O extends VmOrigin> = MadeFields<'VM', typeof vmFates, O>;
