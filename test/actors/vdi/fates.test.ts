// Goal: what becomes of every field of a disk when it is made, introduced, snapshot, cloned or copied is what the
// table says.
// Method: a disk in which every field has a value of its own, on storage in memory; then each message, and each
// cell is compared.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { VDI } from '../../../actors/vdi/class.ts';
import type { RecordNamed } from '../../../src/model/class.ts';
import { constructorFields } from '../../../src/model/derive.ts';
import { nullRef, type Ref } from '../../../src/model/types.ts';
import { vdiFates } from '../../../src/rules/fates/vdi.ts';
import type { AnyRecord } from '../../../src/store/schema.ts';
import type { World } from '../../world.ts';
import { compare, fresh, is } from '../compared-fates.ts';
import { distinctRow } from '../distinct.ts';
import { fakeStorage } from '../fake-storage.ts';
import { createSr, createVdi, noRef, refusal, srOf, storageWorld, vdiOf } from '../storage-world.ts';

let w: World;
let sr: Ref<'SR'>;
let elsewhere: Ref<'SR'>;
beforeEach(async () => {
  w = await storageWorld(fakeStorage().storage);
  sr = await createSr(w, '/a', 'fake');
  elsewhere = await createSr(w, '/b', 'fake');
});
afterEach(() => w.close());

/** What the storage has of it, and what would keep it from being copied, is left. */
const own = ({
  SR,
  location,
  uuid,
  virtual_size,
  managed,
  is_a_snapshot,
}: RecordNamed<'VDI'>): AnyRecord => ({
  SR,
  location,
  uuid,
  virtual_size,
  managed,
  is_a_snapshot,
  current_operations: new Map(),
});

/** Sharable disks have no snapshots, and disks that are reset at boot neither those nor copies. */
const filled = async (
  more: AnyRecord = { sharable: false, on_boot: 'persist' },
): Promise<readonly [Ref<'VDI'>, AnyRecord]> => {
  const vdi = await createVdi(w, sr);
  await w.store.commit((tx) => {
    const distinct = distinctRow(VDI, tx, 1);
    tx.patch('VDI', vdi, { ...distinct, ...own(tx.require('VDI', vdi)), type: 'system', ...more } as never);
  });
  return [vdi, vdiOf(w, vdi) as unknown as AnyRecord];
};

const storage = (original: AnyRecord) => ({
  uuid: fresh(original['uuid']),
  location: fresh(''),
  virtual_size: is(original['virtual_size']),
  physical_utilisation: is(0n),
  managed: is(true),
});

const compared = (origin: string, original: AnyRecord, vdi: Ref<'VDI'>, made: object): void =>
  compare({
    cls: VDI,
    table: vdiFates,
    origin,
    original,
    result: vdiOf(w, vdi) as unknown as AnyRecord,
    made: { ...storage(original), location: (value) => expect(value).not.toBe(''), ...made },
  });

test('a snapshot', async () => {
  const [vdi, original] = await filled();
  const snapshot = await w.call('VDI.snapshot', vdi, new Map());
  compared('snapshot', original, snapshot, {
    sm_config: is(new Map()),
    is_a_snapshot: is(true),
    snapshot_of: is(vdi),
    snapshot_time: (value: string) => expect(Number(value.slice(0, 4))).toBeGreaterThan(2020),
  });
  expect(vdiOf(w, vdi).snapshots).toEqual([snapshot]);
});

test('a clone, also of a snapshot', async () => {
  const [vdi, original] = await filled();
  const clone = await w.call('VDI.clone', vdi, new Map());
  compared('clone', original, clone, { sm_config: is(new Map()) });
  const snapshot = await w.call('VDI.snapshot', vdi, new Map());
  const again = await w.call('VDI.clone', snapshot, new Map());
  compared('clone', vdiOf(w, snapshot) as never, again, { sm_config: is(new Map()) });
});

test('a full copy, into another repository', async () => {
  const [vdi, original] = await filled({ on_boot: 'persist' });
  const copy = await w.call('VDI.copy', vdi, elsewhere, noRef, noRef);
  compared('copy', original, copy, {
    SR: is(elsewhere),
    sm_config: is(new Map()),
    // This storage cannot do it.
    on_boot: is('persist'),
  });
});

test('a copy takes disks that are gone, and the null one, for none', async () => {
  const [vdi] = await filled({ on_boot: 'persist' });
  const gone = 'OpaqueRef:gone';
  const made = await w.call('VDI.copy', vdi, elsewhere, gone, gone);
  expect([vdiOf(w, made).SR, vdiOf(w, made).uuid]).not.toContain(vdiOf(w, vdi).uuid);
});

test('a new one', async () => {
  let given: AnyRecord = {};
  await w.store.commit((tx) => {
    const all = distinctRow(VDI, tx, 2);
    given = Object.fromEntries(constructorFields(VDI).map(([name]) => [name, all[name]]));
  });
  const original = { ...given, SR: sr, type: 'system', virtual_size: 4n << 20n, uuid: '' };
  const vdi = await w.call('VDI.create', new Map(Object.entries(original)));
  compared('create', original, vdi, {});
});

const introduce = (fields: AnyRecord): Promise<Ref<'VDI'>> => {
  const order =
    'uuid name_label name_description SR type sharable read_only other_config location xenstore_data';
  const more =
    'sm_config managed virtual_size physical_utilisation metadata_of_pool is_a_snapshot snapshot_time';
  return w.call('VDI.introduce', ...`${order} ${more} snapshot_of`.split(' ').map((name) => fields[name]));
};

test('one that is introduced takes from the client only what is for the client to say', async () => {
  const [vdi, original] = await filled();
  const { VDIs } = srOf(w, sr);
  await w.call('VDI.forget', vdi);
  const said = { ...original, managed: false, virtual_size: 7n, is_a_snapshot: true, snapshot_of: vdi };
  const again = await introduce({ ...said, name_label: '', name_description: 'told' });
  compared('introduce', { ...original, location: '' }, again, {
    uuid: is(original['uuid']),
    name_label: is('disk'),
    name_description: is('told'),
    read_only: is(false),
    cbt_enabled: is(false),
  });
  expect(srOf(w, sr).VDIs.length).toBe(VDIs.length);
});

test('one that is introduced again is the same one, and nobody else has its place or its uuid', async () => {
  const [vdi, original] = await filled();
  const before = srOf(w, sr).virtual_allocation;
  expect(await introduce({ ...original, other_config: new Map([['now', 'this']]) })).toBe(vdi);
  expect(vdiOf(w, vdi).other_config).toEqual(new Map([['now', 'this']]));
  expect(srOf(w, sr).virtual_allocation).toBe(before);
  expect(await refusal(introduce({ ...original, uuid: 'another' }))).toEqual([
    'LOCATION_NOT_UNIQUE',
    sr,
    String(original['location']),
  ]);
  const other = await createVdi(w, sr);
  const { location } = vdiOf(w, other);
  await w.call('VDI.forget', other);
  expect((await refusal(introduce({ ...original, location })))[0]).toBe('DB_UNIQUENESS_CONSTRAINT_VIOLATION');
  expect(nullRef).not.toBe(other);
});
