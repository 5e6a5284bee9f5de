import { but, type Fate, type Fates } from './fate.ts';

export const vdiOrigins = ['create', 'introduce', 'snapshot', 'clone', 'copy'] as const;
export type VdiOrigin = (typeof vdiOrigins)[number];

/** A copy is made as a clone is, from what the client sees. */
const row = <const C extends Fate, const I extends Fate, const T extends Fate>(
  create: C,
  introduce: I,
  twin: T,
  why: string,
) => {
  return { create, introduce, snapshot: twin, clone: twin, copy: twin, why };
};

const settings = row('copied', 'copied', 'copied', 'A setting of the disk.');
const derived = row('derived', 'derived', 'derived', 'Follows from other rows.');
const told = (why: string) => row('made', 'made', 'made', `${why} The storage says it.`);
const own = (why: string) => row('default', 'default', 'default', why);
const ofSnapshots = (why: string) => but(row('default', 'default', 'default', why), { snapshot: 'made' });

export const vdiFates = {
  uuid: told('Identity.'),
  name_label: row(
    'copied',
    'made',
    'copied',
    'One that is introduced without a name has that of the storage.',
  ),
  name_description: row('copied', 'made', 'copied', 'Likewise.'),
  allowed_operations: derived,
  current_operations: own('What runs on this disk alone.'),
  SR: but(row('copied', 'copied', 'copied', 'A copy is where the client wants it.'), { copy: 'made' }),
  VBDs: derived,
  crash_dumps: derived,
  virtual_size: told('It may be rounded up.'),
  physical_utilisation: told('It takes what it takes.'),
  type: settings,
  sharable: settings,
  read_only: but(row('copied', 'made', 'copied', 'A copy has to be written, whatever the original says.'), {
    copy: 'default',
  }),
  other_config: settings,
  storage_lock: own('Always false.'),
  location: told('Its name there.'),
  managed: row('made', 'made', 'made', 'Disks that clients ask for are theirs.'),
  missing: own('It is there.'),
  parent: own('Known to the storage.'),
  xenstore_data: settings,
  sm_config: row('copied', 'copied', 'made', 'Notes of the driver on one disk, locks among them.'),
  is_a_snapshot: ofSnapshots('A clone or a copy is a disk in its own right.'),
  snapshot_of: ofSnapshots('The disk it was taken of.'),
  snapshots: derived,
  snapshot_time: ofSnapshots('When it was taken.'),
  tags: row('copied', 'default', 'copied', 'How people sort disks; introducing takes none.'),
  allow_caching: row('default', 'default', 'copied', 'A setting that constructors do not take.'),
  on_boot: but(row('default', 'default', 'copied', 'Likewise; a copy has it where the storage can do it.'), {
    copy: 'made',
  }),
  metadata_of_pool: own('What is in a replicated database is found by looking.'),
  metadata_latest: own('Likewise.'),
  is_tools_iso: own('There is one image of the tools.'),
  cbt_enabled: but(
    row(
      'default',
      'made',
      'default',
      'A snapshot ends the log that its disk goes on with. The storage says it.',
    ),
    {
      snapshot: 'copied',
    },
  ),
} as const satisfies Fates<'VDI', VdiOrigin>;
