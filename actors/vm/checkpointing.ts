import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { unattendedWork } from '../../src/rules/hypervisor-work.ts';
import { featuresOf } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { type CopyDisk, copyDisks, ownDrives } from './copied-disks.ts';
import { settleCopy } from './copying.ts';
import type { VmHandlers } from './handlers.ts';
import { noteNap } from './napping.ts';
import { wake } from './power.ts';
import { fallAsleep } from './sleeping.ts';

// A snapshot with memory. The guest sleeps while its disks are taken and is woken whatever becomes of that;
// the image that it slept in is the snapshot's, so that memory is written once and never copied.

type Vm = Working<'VM'>;

const method = 'VM.checkpoint';

/** Told before the guest is put to sleep for nothing. */
const refusal = (view: View, self: Ref<'VM'>): Fault | undefined => {
  const vm = view.require('VM', self);
  // While one naps for it there is no second time to fall asleep.
  const [task] = [...vm.current_operations].find(([, one]) => one === 'checkpoint') ?? [];
  if (task !== undefined) return new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM', self, 'checkpoint', task]);
  const stuck = ownDrives(view, vm).some(([, { VDI }]) => {
    const { SR } = view.require('VDI', VDI);
    return !featuresOf(view, view.get('SR', SR)?.type).has('VDI_SNAPSHOT');
  });
  return stuck ? new Fault('SR_OPERATION_NOT_SUPPORTED', [self]) : undefined;
};

/** The guest sleeps already: its image is copied, as it has to wake from its own. */
const ofSleeper = async (working: Vm, name: string, copy: CopyDisk): Promise<Ref<'VM'>> => {
  const { services, self, record } = working;
  const disks = await copyDisks(working, record, {
    copy,
    withImage: true,
    copyImage: (vdi) => working.making(working.self)('VDI.clone', vdi, { driver_params: new Map() }),
  });
  return settleCopy(working, { services, origin: 'checkpoint', self, name, disks });
};

const ofLive = async (working: Vm, name: string, copy: CopyDisk): Promise<Ref<'VM'>> => {
  const { services, self } = working;
  const powerState = working.record.power_state;
  await noteNap(working);
  const awake = (): Promise<void> =>
    wake(working, { method, how: unattendedWork(method), paused: powerState === 'Paused', force: false });
  const image = await fallAsleep(working, method).catch(async (error: unknown) => {
    // It may sleep all the same.
    if (working.record.power_state === 'Suspended') await awake();
    throw error;
  });
  const asleep = working.record;
  const taken = await copyDisks(working, asleep, { copy, withImage: false }).finally(awake);
  const disks = { ...taken, image };
  return settleCopy(working, { services, origin: 'checkpoint', self, name, disks, asleep, powerState });
};

export const checkpointing = {
  checkpoint: {
    operation: 'checkpoint',
    unless: refusal,
    work: (working, { new_name }) => {
      const copy: CopyDisk = (vdi) =>
        working.making(working.self)('VDI.snapshot', vdi, { driver_params: new Map() });
      return working.record.suspend_VDI !== nullRef && working.record.power_state === 'Suspended'
        ? ofSleeper(working, new_name, copy)
        : ofLive(working, new_name, copy);
    },
  },
} satisfies VmHandlers;
