// Goal: a disk that is plugged into a control domain is open on that host, its row says where, and nothing of it
// outlives the plug, a failure or the process.
// Method: the real behaviours over scripted storage, without any hypervisor.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { detachHostDrives } from '../../../actors/vbd/start.ts';
import { StorageError } from '../../../src/drivers/storage/storage.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { World } from '../../world.ts';
import { type FakeStorage, fakeStorage } from '../fake-storage.ts';
import { createSr, createVdi, refusal, storageWorld } from '../storage-world.ts';

let fake: FakeStorage;
let w: World;
let domain: Ref<'VM'>;
let sr: Ref<'SR'>;
beforeEach(async () => {
  fake = fakeStorage();
  w = await storageWorld(fake.storage);
  domain = 'OpaqueRef:domain' as Ref<'VM'>;
  await w.store.commit((tx) => {
    const running = { power_state: 'Running', domid: 0n, domain_type: 'pv', resident_on: w.host } as const;
    tx.create('VM', domain, {
      uuid: 'b7a0c2de-0000-4000-8000-000000000001',
      is_control_domain: true,
      ...running,
    });
    tx.patch('host', w.host, { control_domain: domain });
  });
  sr = await createSr(w, '/disks', 'fake');
});
afterEach(() => w.close());

const drive = async (vdi: Ref<'VDI'>, mode: 'RO' | 'RW' = 'RW'): Promise<Ref<'VBD'>> =>
  w.call(
    'VBD.create',
    new Map<string, unknown>(
      Object.entries({
        VM: domain,
        VDI: vdi,
        userdevice: 'autodetect',
        bootable: false,
        mode,
        type: 'Disk',
        empty: false,
        other_config: new Map(),
        qos_algorithm_type: '',
        qos_algorithm_params: new Map(),
      }),
    ),
  );
const row = (vbd: Ref<'VBD'>) => w.store.committed.require('VBD', vbd);
const shown = (vbd: Ref<'VBD'>) => [row(vbd).currently_attached, row(vbd).runtime_properties.get('address')];

describe('A drive of a control domain', () => {
  test('has its disk open while it is plugged, and says where', async () => {
    const vbd = await drive(await createVdi(w, sr));
    await w.call('VBD.plug', vbd);
    expect(shown(vbd)).toEqual([true, '/where/it/is']);
    expect(fake.open.size).toBe(1);
    expect(await refusal(w.call('VBD.plug', vbd))).toEqual(['DEVICE_ALREADY_ATTACHED', vbd]);
    await w.call('VBD.unplug', vbd);
    expect([...shown(vbd), fake.open.size]).toEqual([false, undefined, 0]);
    expect(await refusal(w.call('VBD.unplug', vbd))).toEqual(['DEVICE_ALREADY_DETACHED', vbd]);
  });

  test('shares its disk with other readers, and with nobody while it writes', async () => {
    const vdi = await createVdi(w, sr);
    const readers = [await drive(vdi, 'RO'), await drive(vdi, 'RO')];
    for (const reader of readers) await w.call('VBD.plug', reader);
    expect(fake.open.size).toBe(2);
    for (const reader of readers) await w.call('VBD.unplug', reader);
    const [writer, other] = [await drive(vdi), await drive(vdi)];
    await w.call('VBD.plug', writer);
    expect(await refusal(w.call('VBD.plug', other))).toEqual(['VDI_IN_USE', vdi]);
    expect(shown(other)).toEqual([false, undefined]);
  });

  test('that cannot be opened is as it was', async () => {
    const vbd = await drive(await createVdi(w, sr));
    const before = row(vbd);
    fake.disturb('openVolume', async () => {
      throw new StorageError('SR_BACKEND_FAILURE', ['It is damaged', '', '']);
    });
    expect((await refusal(w.call('VBD.plug', vbd)))[0]).toBe('SR_BACKEND_FAILURE');
    expect(row(vbd)).toEqual(before);
  });

  test('keeps its repository, and needs it on this host', async () => {
    const vbd = await drive(await createVdi(w, sr));
    const [pbd] = w.store.committed.require('SR', sr).PBDs as [Ref<'PBD'>];
    await w.call('VBD.plug', vbd);
    expect(await refusal(w.call('PBD.unplug', pbd))).toEqual(['VDI_IN_USE', row(vbd).VDI]);
    await w.call('VBD.unplug', vbd);
    await w.call('PBD.unplug', pbd);
    expect(await refusal(w.call('VBD.plug', vbd))).toEqual(['VM_REQUIRES_SR', domain, sr]);
  });

  test('is not attached once its process began anew', async () => {
    const vbd = await drive(await createVdi(w, sr));
    await w.call('VBD.plug', vbd);
    await detachHostDrives(w.store, w.host);
    expect(shown(vbd)).toEqual([false, undefined]);
  });
});
