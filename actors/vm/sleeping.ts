import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { construct, destruct } from '../../src/objects/construct.ts';
import type { Working } from '../../src/objects/implement.ts';
import { xenopsDisk } from '../../src/rules/guest-devices.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { note, strike } from '../../src/rules/leftovers.ts';
import { pbdOf } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { expectState } from './power.ts';

// How a guest falls asleep: its memory goes to a disk of its own, and from then on it takes none.

/** The VM's own choice, the pool's, the host's; of those that its host sees. */
const suspendSr = (view: View, self: Ref<'VM'>, host: Ref<'host'>): Ref<'SR'> => {
  const [pool] = view.all('pool');
  const wishes = [
    view.require('VM', self).suspend_SR,
    pool?.[1].suspend_image_SR,
    view.get('host', host)?.suspend_image_sr,
    pool?.[1].default_SR,
  ];
  const found = wishes.find((sr) => sr !== undefined && pbdOf(view, sr, host) !== undefined);
  if (found === undefined) throw new Fault('VM_NO_SUSPEND_SR', [self]);
  return found;
};

const mib = 1024n * 1024n;

/** Room for all of the guest's memory, the state of its devices and what formats add. */
const imageBytes = (vm: RecordNamed<'VM'>): bigint => {
  const bytes = vm.memory_static_max + vm.memory_static_max / 16n + 64n * mib;
  return (bytes / mib + 1n) * mib;
};

/** Answers the disk that has the guest's memory. Taken back if the guest does not sleep at that time. */
export const fallAsleep = async (working: Working<'VM'>, method: string): Promise<Ref<'VDI'>> => {
  const { self, view, services } = working;
  const { hypervisor, host } = services;
  const vm = working.record;
  const image = await construct({ call: working.making(self) }, 'VDI', {
    name_label: 'Suspend image',
    name_description: `Memory of VM ${vm.uuid}`,
    SR: suspendSr(view, self, host),
    virtual_size: imageBytes(vm),
    type: 'suspend',
    sharable: false,
    read_only: false,
    other_config: new Map(),
    sm_config: new Map(),
  });
  working.undo(async () => {
    // If nobody can say whether the guest is in it by now, this fails and the image is kept.
    if (working.record.power_state === 'Suspended') return;
    if ((await hypervisor.stat(vm.uuid))?.power_state === 'Suspended') return;
    await working.commit((tx) => tx.patch('VM', self, { suspend_VDI: vm.suspend_VDI }));
    await destruct(working, 'VDI', image);
    await working.commit((tx) => strike(tx, self, [image]));
  });
  await working.commit((tx) => {
    // An older one, of a host that ended as it woke the guest, is nobody's from here on.
    note(
      tx,
      self,
      host,
      [image, vm.suspend_VDI].filter((one) => tx.get('VDI', one) !== undefined),
    );
    tx.patch('VM', self, { suspend_VDI: image });
  });
  working.settle((tx) => strike(tx, self, [image]));
  await asked(method, hypervisor.suspend(vm.uuid, xenopsDisk(view, image), xenopsWork(working, method)));
  await asked(method, expectState(working, hypervisor, ['Suspended']));
  return image;
};
