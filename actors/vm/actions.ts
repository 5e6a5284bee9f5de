import { action } from '../../src/model/class.ts';
import { bool, ref, set, string, stringMap } from '../../src/model/types.ts';

const named = {
  ref: [string, 'Reference of the VM.', ''],
  uuid: [string, 'Its uuid, where there is no `ref`.', ''],
} as const;

const restored = {
  restore: [bool, 'True: VMs come back with their uuids and addresses, in place of those there.', false],
} as const;

/** What clients ask for by HTTP. */
export const actions = {
  put_import: action('PUT', '/import', 'vm-admin', 'Takes VMs with their disks as an XVA file.', {
    task: 'VM.import',
    result: set(ref('VM')),
    params: {
      sr_id: [string, 'Reference of the repository for the disks; without one the default of the pool.', ''],
      sr_uuid: [string, 'Its uuid, where there is no `sr_id`.', ''],
      ...restored,
      force: [bool, 'True: sums that are wrong, and VMs that are older than those there, are taken.', false],
    },
  }),
  put_import_metadata: action('PUT', '/import_metadata', 'vm-admin', 'Takes VMs whose disks are here.', {
    task: 'VM.metadata_import',
    result: set(ref('VM')),
    params: {
      ...restored,
      force: [bool, 'True: disks that are missing, and VMs that are older than those there, too.', false],
      dry_run: [bool, 'True: it is only told whether all would come.', false],
      vdi: [stringMap, '`vdi:<old>=<new>`: what disks are called here, by uuid or SCSI id.', new Map()],
    },
  }),
  get_export: action('GET', '/export', 'vm-admin', 'Gives a VM with its disks as an XVA file.', {
    task: 'VM.export',
    params: {
      ...named,
      use_compression: [string, '`gzip` (or `true`) or `zstd`; anything else is none.', ''],
      preserve_power_state: [bool, 'True: a suspended VM comes with its memory.', false],
    },
  }),
  get_export_metadata: action('GET', '/export_metadata', 'vm-admin', 'Gives VMs without their disks.', {
    task: 'VM.export_metadata',
    params: {
      ...named,
      all: [bool, 'Every VM of the pool, but templates that came with the installation.', false],
      include_dom0: [bool, 'With `all`: the domains of the hosts, too.', true],
      include_vhd_parents: [bool, 'Also the disks below those of the VMs.', false],
      export_snapshots: [bool, 'Also the snapshots of the VMs.', true],
      excluded_device_types: [string, 'Kinds of devices left out: VIF, VBD, VGPU, VTPM, by commas.', ''],
    },
  }),
  vm_rrd: action('GET', '/vm_rrd', 'read-only', 'Gives the measurements of a VM.'),
  get_vm_rrds: action('GET', '/vm_rrds', 'read-only', 'Gives the measurements of a VM.'),
} as const;
