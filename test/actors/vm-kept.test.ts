// Goal: what a guest keeps in its TPM outlives the guest: its next one begins with it, wherever that is, and
//   copies and snapshots have what it was then, but for what must never exist twice.
// Method: the real behaviours over a daemon in process, whose guests change what they keep while they run.

import { afterEach, beforeEach, expect, test } from 'vitest';
import vtpmBehaviour from '../../actors/vtpm/behaviour.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Bench, bench, type FakeHypervisor, fakeHypervisor } from './vm-bench.ts';

let hypervisor: FakeHypervisor;
let at: Bench;
let vm: Ref<'VM'>;
let vtpm: Ref<'VTPM'>;
const uuid = (): string => at.store.latest.require('VM', vm).uuid;
const contentsOf = async (of: Ref<'VM'>): Promise<readonly string[]> => {
  const { VTPMs } = at.store.committed.require('VM', of);
  return Promise.all(VTPMs.map(async (one) => (await at.call('VTPM.get_contents', one)) as string));
};
const changes = (value: string): void => void hypervisor.devices.set(uuid(), new Map([['tpm', value]]));

const setUp = async (isUnique: boolean): Promise<void> => {
  hypervisor = fakeHypervisor();
  at = await bench(hypervisor, { more: [vtpmBehaviour] });
  vm = await at.newVm();
  const [pool] = [...at.store.latest.all('pool')].map(([ref]) => ref);
  await at.store.commit((tx) => {
    tx.patch('pool', pool as Ref<'pool'>, { restrictions: new Map([['restrict_vtpm', 'false']]) });
  });
  vtpm = (await at.call('VTPM.create', vm, isUnique)) as Ref<'VTPM'>;
};
beforeEach(() => setUp(false));
afterEach(() => at.close());

test('a guest begins with what the one before had at its end, however it ended', async () => {
  await at.call('VM.start', vm, false, false);
  expect(hypervisor.devices.get(uuid())).toEqual(new Map());
  changes('b25l');
  await at.call('VM.hard_shutdown', vm);
  expect(await contentsOf(vm)).toEqual(['b25l']);
  hypervisor.devices.clear();
  await at.call('VM.start', vm, false, false);
  expect(hypervisor.devices.get(uuid())).toEqual(new Map([['tpm', 'b25l']]));
  changes('dHdv');
  await hypervisor.become(uuid(), 'Halted');
  expect(await contentsOf(vm)).toEqual(['dHdv']);
});

test('one that sleeps keeps it too, and one that wakes is given it', async () => {
  await at.call('VM.start', vm, false, false);
  changes('b25l');
  await at.call('VM.suspend', vm);
  expect(await contentsOf(vm)).toEqual(['b25l']);
  hypervisor.devices.clear();
  await at.call('VM.resume', vm, false, false);
  expect(hypervisor.devices.get(uuid())).toEqual(new Map([['tpm', 'b25l']]));
});

test('a snapshot of one that runs has what it keeps at that time', async () => {
  await at.call('VM.start', vm, false, false);
  changes('b25l');
  const snapshot = (await at.call('VM.snapshot', vm, 'then', [])) as Ref<'VM'>;
  changes('dHdv');
  await at.call('VM.hard_shutdown', vm);
  expect(await contentsOf(snapshot)).toEqual(['b25l']);
  expect(await contentsOf(vm)).toEqual(['dHdv']);
});

test('what must never exist twice is in no snapshot', async () => {
  at.close();
  await setUp(true);
  await at.call('VM.start', vm, false, false);
  changes('b25l');
  const snapshot = (await at.call('VM.snapshot', vm, 'then', [])) as Ref<'VM'>;
  expect(await contentsOf(snapshot)).toEqual(['']);
});

test('a TPM that was taken away leaves nothing to the one that comes after it', async () => {
  await at.call('VM.start', vm, false, false);
  changes('b25l');
  await at.call('VM.hard_shutdown', vm);
  await at.call('VTPM.destroy', vtpm);
  await at.call('VTPM.create', vm, false);
  await at.call('VM.start', vm, false, false);
  expect(hypervisor.devices.get(uuid())).toEqual(new Map());
});

test('variables of a UEFI firmware are in NVRAM, and other entries of it stay as they are', async () => {
  const uefi = new Map([['firmware', 'uefi']]);
  await at.store.commit((tx) =>
    tx.patch('VM', vm, { HVM_boot_params: uefi, NVRAM: new Map([['of-a-client', 'x']]) }),
  );
  await at.call('VM.start', vm, false, false);
  hypervisor.devices.set(uuid(), new Map([['variables', 'b25l']]));
  await at.call('VM.hard_shutdown', vm);
  expect(Object.fromEntries(at.store.committed.require('VM', vm).NVRAM)).toEqual({
    'of-a-client': 'x',
    'EFI-variables': 'b25l',
  });
  hypervisor.devices.clear();
  await at.call('VM.start', vm, false, false);
  expect(hypervisor.devices.get(uuid())).toEqual(new Map([['variables', 'b25l']]));
});

test('more than rows hold is left out, and its guest ends all the same', async () => {
  await at.call('VM.start', vm, false, false);
  changes('b25l'.repeat(200_000));
  await at.call('VM.hard_shutdown', vm);
  expect(await contentsOf(vm)).toEqual(['']);
});
