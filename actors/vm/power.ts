import {
  type Hypervisor,
  isMissing,
  type VmState,
  type XenopsWork,
} from '../../src/drivers/hypervisor/hypervisor.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { destruct } from '../../src/objects/construct.ts';
import { decided } from '../../src/objects/decided.ts';
import type { Working } from '../../src/objects/implement.ts';
import { demand } from '../../src/objects/refusal.ts';
import { sharingRefusal } from '../../src/rules/disk-sharing.ts';
import { vbdKey, xenopsDisk } from '../../src/rules/guest-devices.ts';
import { asked, unattendedWork, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { note, strike } from '../../src/rules/leftovers.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { withGuestKernel } from './guest-kernel.ts';
import { becomeHalted } from './halting.ts';
import type { VmHandlers } from './handlers.ts';
import { raiseHardware } from './hardware.ts';
import { keeps, keptOf } from './kept.ts';
import { devicesOf, metadataOf } from './metadata.ts';
import type { PowerState } from './operations.ts';
import { anywhere, named, reserve } from './reserving.ts';
import { becomeLive } from './state.ts';

// How a guest comes to life: rows first, then the daemon. Whatever fails is taken back from the end.

type Vm = Working<'VM'>;

const badState = (self: Ref<'VM'>, states: readonly PowerState[], found: PowerState): Fault =>
  new Fault('VM_BAD_POWER_STATE', [self, states.join(';').toLowerCase(), found.toLowerCase()]);

/**
 * After the daemon has done something: once its reports are in the rows, the VM is in one of these states.
 */
export const expectState = async (
  working: Vm,
  hypervisor: Pick<Hypervisor, 'barrier'>,
  states: readonly PowerState[],
): Promise<void> => {
  await hypervisor.barrier(working.record.uuid);
  const { power_state } = working.record;
  if (!states.includes(power_state)) throw badState(working.self, states, power_state);
};

/** The guest that the daemon has brought, which may have ended already. */
const there = ({ self }: Vm, state: VmState | undefined): VmState => {
  if (state?.power_state === 'Running' || state?.power_state === 'Paused') return state;
  throw badState(self, ['Running', 'Paused'], state?.power_state ?? 'Halted');
};

/** Claims the disks: who shares one is looked at and told in one step, so that of two starts one wins. */
const attachDevices = (tx: Tx, self: Ref<'VM'>): void => {
  const vm = tx.require('VM', self);
  const { VBDs, VIFs } = devicesOf(tx, vm);
  for (const ref of VBDs) {
    const vbd = tx.require('VBD', ref);
    demand(sharingRefusal(tx, ref, vbd));
    tx.patch('VBD', ref, { currently_attached: true, device: vbdKey(vbd, vm) });
  }
  for (const ref of VIFs) tx.patch('VIF', ref, { currently_attached: true });
};

interface Before {
  restore(tx: Tx): void;
}

/** The rows of a VM and its devices as they are now, to be put back. */
const rowsNow = (view: View, self: Ref<'VM'>): Before => {
  const { VBDs, VIFs, power_state, last_booted_record, guest_metrics } = view.require('VM', self);
  const agent = view.get('VM_guest_metrics', guest_metrics);
  const vbds = VBDs.map((ref) => [ref, view.require('VBD', ref)] as const);
  const vifs = VIFs.map((ref) => [ref, view.require('VIF', ref)] as const);
  return {
    restore: (tx) => {
      if (tx.get('VM', self) === undefined) return;
      becomeHalted(tx, self);
      tx.delete('VM_guest_metrics', tx.require('VM', self).guest_metrics);
      if (agent !== undefined) tx.create('VM_guest_metrics', guest_metrics, agent);
      tx.patch('VM', self, { power_state, last_booted_record, guest_metrics });
      for (const [ref, { currently_attached, device, reserved }] of vbds) {
        if (tx.get('VBD', ref) !== undefined) tx.patch('VBD', ref, { currently_attached, device, reserved });
      }
      for (const [ref, { currently_attached }] of vifs) {
        if (tx.get('VIF', ref) !== undefined) tx.patch('VIF', ref, { currently_attached });
      }
    },
  };
};

/**
 * Ends whatever the daemon has of the VM and makes it forget it. A daemon that does not know it is content.
 */
const withdraw = async (hypervisor: Hypervisor, uuid: string, method: string): Promise<void> => {
  try {
    const state = await hypervisor.stat(uuid);
    if (state === undefined) return;
    if (state.power_state !== 'Halted') await hypervisor.shutdown(uuid, undefined, unattendedWork(method));
    await hypervisor.barrier(uuid);
    await hypervisor.remove(uuid);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
};

interface Boot {
  readonly method: string;
  readonly how: XenopsWork;
  readonly paused: boolean;
  readonly force: boolean;
  /** Starts the guest or restores it; either leaves it paused. */
  readonly bring: (hypervisor: Hypervisor, uuid: string) => Promise<void>;
}

interface Booted {
  /** Makes the row that of the guest; of the commit with which it is there to stay. */
  readonly live: (tx: Tx) => void;
  /** Once that commit is made, the guest stays whatever fails. */
  readonly keep: () => void;
}

/** What the daemon tells of the guest meanwhile is for this alone: nothing is written until it is there. */
const boot = async (working: Vm, { method, how, paused, force, bring }: Boot): Promise<Booted> => {
  const { self, view, services } = working;
  const { signal } = how;
  const { hypervisor } = services;
  const { uuid } = working.record;
  const metadata = await withGuestKernel(services.guestKernels, self, metadataOf(view, self));
  const before = rowsNow(view, self);
  let stays = false;
  const attendance = hypervisor.attend(uuid);
  working.undo(attendance.leave);
  working.undo(async () => {
    if (stays) return;
    await withdraw(hypervisor, uuid, method).finally(() => working.commit((tx) => before.restore(tx)));
  });
  // A crash before the end of this is put right by reconciling.
  const { durable } = await decided(services, (tx) => {
    reserve(tx, self, services.host, force);
    attachDevices(tx, self);
  });
  await asked(method, hypervisor.importMetadata(metadata, how.debugInfo));
  if (keeps(view, self)) await asked(method, hypervisor.setKept(uuid, keptOf(view, self)));
  signal.throwIfAborted();
  await asked(method, bring(hypervisor, uuid));
  if (!paused) await asked(method, hypervisor.unpause(uuid, how));
  signal.throwIfAborted();
  const state = there(working, await asked(method, attendance.state()));
  await durable;
  return {
    live: (tx) => {
      becomeLive(tx, self, state, { services });
      // What is told from here on is written after this.
      attendance.leave();
    },
    keep: () => {
      stays = true;
    },
  };
};

/** From its start on, a VM that is to be restarted is kept running. */
const protect = (tx: Tx, self: Ref<'VM'>): void => {
  if (tx.require('VM', self).ha_restart_priority === 'restart') tx.patch('VM', self, { ha_always_run: true });
};

interface StartArgs {
  readonly start_paused: boolean;
  readonly force: boolean;
}

const start = async (working: Vm, { start_paused, force }: StartArgs, method: string): Promise<void> => {
  if (working.record.is_control_domain) {
    throw new Fault('OPERATION_NOT_ALLOWED', ['This operation is not allowed on a control domain']);
  }
  const how = xenopsWork(working, method);
  const { live } = await boot(working, {
    method,
    how,
    paused: start_paused,
    force,
    bring: (hypervisor, uuid) => hypervisor.start(uuid, force, how),
  });
  working.settle((tx) => {
    live(tx);
    protect(tx, working.self);
    raiseHardware(tx, working.self);
  });
};

/** The memory image has served its purpose. One that cannot be destroyed now goes when its host starts. */
const dropImage = async (working: Vm, image: Ref<'VDI'>): Promise<void> => {
  const { services, self } = working;
  try {
    await destruct(working, 'VDI', image);
    working.settle((tx) => strike(tx, self, [image]));
  } catch (error) {
    services.log.warn({ error, vm: self, vdi: image }, 'The memory image of a VM could not be destroyed');
  }
};

/** Brings a guest that sleeps back to life. From then on its VM has no memory image to go back to. */
export const wake = async (
  working: Vm,
  { paused, force, method, how }: Omit<Boot, 'bring'>,
): Promise<void> => {
  const { view, self } = working;
  const disk = xenopsDisk(view, working.record.suspend_VDI);
  const { live, keep } = await boot(working, {
    ...{ method, how, paused, force },
    bring: (hypervisor, uuid) => hypervisor.resume(uuid, disk, how),
  });
  await working.commit((tx) => {
    live(tx);
    note(tx, self, working.services.host, [tx.require('VM', self).suspend_VDI]);
    tx.patch('VM', self, { suspend_VDI: nullRef as Ref<'VDI'> });
  });
  keep();
};

const resume = async (working: Vm, { start_paused, force }: StartArgs, method: string): Promise<void> => {
  const { self } = working;
  const image = working.record.suspend_VDI;
  await wake(working, { paused: start_paused, force, method, how: xenopsWork(working, method) });
  working.settle((tx) => protect(tx, self));
  await dropImage(working, image);
};

export const power = {
  start: { operation: 'start', at: anywhere, work: (working, args) => start(working, args, 'VM.start') },
  start_on: {
    operation: 'start_on',
    at: named,
    work: (working, args) => start(working, args, 'VM.start_on'),
  },
  resume: { operation: 'resume', at: anywhere, work: (working, args) => resume(working, args, 'VM.resume') },
  resume_on: {
    operation: 'resume_on',
    at: named,
    work: (working, args) => resume(working, args, 'VM.resume_on'),
  },
  pause: {
    operation: 'pause',
    work: async (working) => {
      const { hypervisor } = working.services;
      await asked('VM.pause', hypervisor.pause(working.record.uuid, xenopsWork(working, 'VM.pause')));
      await asked('VM.pause', expectState(working, hypervisor, ['Paused']));
    },
  },
  unpause: {
    operation: 'unpause',
    work: async (working) => {
      const { hypervisor } = working.services;
      await asked('VM.unpause', hypervisor.unpause(working.record.uuid, xenopsWork(working, 'VM.unpause')));
      await asked('VM.unpause', expectState(working, hypervisor, ['Running']));
    },
  },
} satisfies VmHandlers;
