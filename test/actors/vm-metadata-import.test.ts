// Goal: VMs come back from their metadata with the disks that are here, all of it or nothing, and a dry run tells which.
// Method: the whole runtime in process over disks in memory; metadata of VMs that are then gone, and disks of other names.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { arriving } from '../rules/images/memory-disk.ts';
import { createVdi, idle, refusal } from './storage-world.ts';
import { type XvaWorld, xvaWorld } from './xva-world.ts';

let w: XvaWorld;
beforeAll(async () => {
  w = await xvaWorld();
});
afterAll(() => w.close());
afterEach(() => expect(idle(w)).toBe(true));

const row = (ref: Ref<'VM'>) => w.store.committed.require('VM', ref);
const vms = (): readonly Ref<'VM'>[] => [...w.store.committed.all('VM')].map(([ref]) => ref);
const disksOf = (ref: Ref<'VM'>): readonly string[] =>
  row(ref)
    .VBDs.map((vbd) => w.store.committed.require('VBD', vbd))
    .toSorted((one, other) => Number(one.userdevice) - Number(other.userdevice))
    .map(({ VDI }) => VDI);
const mac = (ref: Ref<'VM'>) => w.store.committed.require('VIF', row(ref).VIFs[0] as Ref<'VIF'>).MAC;
const counts = (): readonly number[] =>
  (['VM', 'VBD', 'VIF', 'VDI', 'network'] as const).map((cls) => [...w.store.latest.all(cls)].length);

const metadataOf = (query: Record<string, unknown>): Promise<Buffer> =>
  w.exported(query, 'get_export_metadata');
const take = (bytes: Buffer, query: Record<string, unknown> = {}): Promise<void> =>
  w.imported(arriving(bytes), query, 'put_import_metadata');
/** Takes metadata, and answers the VMs that came of it. */
const arrivedOf = async (bytes: Buffer, query: Record<string, unknown> = {}) => {
  const before = vms();
  await take(bytes, query);
  return vms().filter((one) => !before.includes(one));
};

test('a VM that is gone is the one that it was again, on its own disks', async () => {
  const vm = await w.newVm();
  const was = { uuid: row(vm).uuid, mac: mac(vm), disks: disksOf(vm) };
  const file = await metadataOf({ ref: vm });
  await w.call('VM.destroy', vm);
  const before = counts();
  await take(file, { restore: true, dry_run: true });
  expect(counts()).toEqual(before);
  const [back] = await arrivedOf(file, { restore: true });
  const ref = back as Ref<'VM'>;
  expect({ uuid: row(ref).uuid, mac: mac(ref), disks: disksOf(ref) }).toEqual(was);
  const { imported_by, leftovers, power_state } = row(ref);
  expect([imported_by, leftovers.size, power_state]).toEqual([nullRef, 0, 'Halted']);
});

test('without that it is another VM beside it, with addresses of its own', async () => {
  const vm = await w.newVm();
  const [twin] = await arrivedOf(await metadataOf({ ref: vm }));
  const ref = twin as Ref<'VM'>;
  expect(disksOf(ref)).toEqual(disksOf(vm));
  expect(row(ref).uuid).not.toBe(row(vm).uuid);
  expect(mac(ref)).not.toBe(mac(vm));
  expect(row(ref).other_config.get('mac_seed')).not.toBe(row(vm).other_config.get('mac_seed'));
});

test('snapshots come along, and know of what they are', async () => {
  const vm = await w.newVm();
  const snapshot: Ref<'VM'> = await w.call('VM.snapshot', vm, 'before');
  const [uuid, snapshotUuid] = [row(vm).uuid, row(snapshot).uuid];
  const file = await metadataOf({ ref: vm });
  await w.call('VM.destroy', snapshot);
  // The snapshot's disks went with no VM: they stay until somebody destroys them.
  await w.call('VM.destroy', vm);
  const made = await arrivedOf(file, { restore: true });
  const [back] = made.filter((one) => !row(one).is_a_snapshot);
  const [taken] = made.filter((one) => row(one).is_a_snapshot);
  expect([row(back as Ref<'VM'>).uuid, row(taken as Ref<'VM'>).uuid]).toEqual([uuid, snapshotUuid]);
  expect(row(taken as Ref<'VM'>).snapshot_of).toBe(back);
  expect(row(back as Ref<'VM'>).snapshots).toEqual([taken]);
});

test('a disk that is not here refuses all of it, in a dry run too; another may stand for it, or force leaves it out', async () => {
  const vm = await w.newVm();
  const [first, second] = disksOf(vm) as readonly Ref<'VDI'>[];
  const gone = w.store.committed.require('VDI', second as Ref<'VDI'>);
  const file = await metadataOf({ ref: vm });
  await w.call('VM.destroy', vm);
  await w.call('VDI.destroy', second);
  const before = counts();
  for (const dry_run of [true, false])
    expect(await refusal(take(file, { dry_run }))).toEqual(['VDI_LOCATION_MISSING', w.sr, gone.location]);
  expect(counts()).toEqual(before);
  const [forced] = await arrivedOf(file, { force: true });
  expect(disksOf(forced as Ref<'VM'>)).toEqual([first, nullRef]);
  const other = await createVdi(w, w.sr, { virtual_size: 3n << 20n });
  const vdi = new Map([[gone.uuid, w.store.committed.require('VDI', other).uuid]]);
  const [mapped] = await arrivedOf(file, { vdi });
  expect(disksOf(mapped as Ref<'VM'>)).toEqual([first, other, nullRef]);
});

test('metadata of all VMs leaves out the domains of hosts, and uses the default templates that are here', async () => {
  const vm = await w.newVm();
  const [template] = await arrivedOf(await metadataOf({ ref: vm }));
  await w.store.commit((tx) => {
    tx.patch('VM', vm, { is_control_domain: true, power_state: 'Running', resident_on: w.host });
    tx.patch('VM', template as Ref<'VM'>, {
      ...{ is_a_template: true, is_default_template: true, name_label: 'of the installation' },
    });
  });
  const only = await metadataOf({ ref: template });
  expect(await arrivedOf(only)).toEqual([]);
  expect(await arrivedOf(await metadataOf({ ref: vm }))).toEqual([]);
  await w.store.commit((tx) => tx.patch('VM', vm, { is_control_domain: false, power_state: 'Halted' }));
});

test('metadata that is cut off leaves nothing', async () => {
  const vm = await w.newVm();
  const file = await metadataOf({ ref: vm });
  const before = counts();
  expect(await refusal(take(file.subarray(0, 2_000)))).toEqual(['IMPORT_ERROR_PREMATURE_EOF']);
  expect(counts()).toEqual(before);
});
