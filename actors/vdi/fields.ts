import { dyn, type Fields, ro, rw } from '../../src/model/class.ts';
import {
  bool,
  datetime,
  epoch,
  int,
  label,
  map,
  nullRef,
  ref,
  set,
  string,
  stringMap,
} from '../../src/model/types.ts';
import { onBoot, vdiOperations, vdiType } from './enums.ts';

export const fields = {
  uuid: dyn(string, 'Identity; most storage carries it, so that a scan finds the same disk again.'),
  name_label: ro(label, 'Name shown to people; it need not be unique.', {
    default: '',
    column: 'name__label',
  }),
  name_description: ro(string, 'Free text shown beside the name.', {
    default: '',
    column: 'name__description',
  }),
  allowed_operations: dyn(
    set(vdiOperations),
    'Operations that would be admitted now; a hint for clients, and not complete.',
    { default: [], persist: false },
  ),
  current_operations: dyn(
    map(string, vdiOperations),
    'What runs on the disk at this moment, by the task that runs it.',
    { default: new Map(), persist: false },
  ),
  SR: ro(ref('SR'), 'Repository it is kept in.', { inverse: 'SR.VDIs', gone: 'collected' }),
  VBDs: dyn(set(ref('VBD')), 'Drives that it is in.', { inverse: 'VBD.VDI', computed: true }),
  crash_dumps: dyn(set(ref('crashdump')), 'Crash dump records that name it; no longer produced.', {
    inverse: 'crashdump.VDI',
    computed: true,
  }),
  virtual_size: ro(int, 'Bytes the guest sees; storage may round a requested size up.'),
  physical_utilisation: dyn(
    int,
    'Bytes it takes on the storage; less than its size when thinly provisioned.',
  ),
  type: ro(vdiType, 'What it is used for; guests normally see `user` and `system` disks.'),
  sharable: ro(bool, 'True if several VMs may write to it at the same time.'),
  read_only: ro(bool, 'True if it can be plugged for reading only.'),
  other_config: rw(stringMap, 'Settings of clients and some of ours; two keys need a lesser role.', {
    keyRoles: { folder: 'vm-operator', 'XenCenter.CustomFields.*': 'vm-operator' },
  }),
  storage_lock: dyn(bool, 'Always false; locking is the business of storage drivers.'),
  location: dyn(string, 'Name by which the driver knows it within its repository.', { default: '' }),
  managed: dyn(bool, 'False for disks that the driver keeps for itself, such as the shared base of clones.'),
  missing: dyn(bool, 'True if the last scan did not find it.'),
  parent: dyn(ref('VDI'), 'Not kept up to date; which disks share blocks is known to the driver.', {
    gone: 'cleared',
  }),
  xenstore_data: rw(stringMap, 'Entries put into xenstore beside the disk when it is plugged.', {
    default: new Map(),
  }),
  sm_config: rw(stringMap, 'Settings and notes that belong to the driver; leave them alone.', {
    default: new Map(),
  }),
  is_a_snapshot: dyn(bool, 'True for a snapshot, whatever its storage makes of it.', { default: false }),
  snapshot_of: dyn(ref('VDI'), 'Disk it is a snapshot of; it may be gone.', {
    default: nullRef,
    inverse: 'VDI.snapshots',
    gone: 'stays',
  }),
  snapshots: dyn(set(ref('VDI')), 'Snapshots taken of this disk.', {
    inverse: 'VDI.snapshot_of',
    computed: true,
  }),
  snapshot_time: dyn(datetime, 'When the snapshot was taken, in UTC; 1970 for what is no snapshot.', {
    default: epoch,
  }),
  tags: rw(set(string), 'Words for grouping and searching.', { default: [], writeRole: 'vm-operator' }),
  allow_caching: dyn(bool, 'True if hosts may cache its blocks locally.', { default: false }),
  on_boot: dyn(onBoot, 'Whether what the guest wrote is kept or thrown away when the VM starts again.', {
    default: 'persist',
  }),
  metadata_of_pool: dyn(ref('pool'), 'Pool whose replicated database is on it; null for other disks.', {
    default: nullRef,
    inverse: 'pool.metadata_VDIs',
    gone: 'cleared',
  }),
  metadata_latest: dyn(bool, 'True if no newer replicated database of that pool is known.', {
    default: false,
  }),
  is_tools_iso: dyn(bool, 'True for the CD image with the guest tools.', { default: false }),
  cbt_enabled: dyn(bool, 'True if changed blocks are tracked, so that backups can be incremental.', {
    default: false,
  }),
} satisfies Fields;
