import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import { destruct } from '../../src/objects/construct.ts';
import type { Working } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { fieldsFor } from '../../src/rules/fates/fate.ts';
import { type VmMade, vmFates } from '../../src/rules/fates/vm.ts';
import { note, strike } from '../../src/rules/leftovers.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { allOf, copyDisks, type NewDisks } from './copied-disks.ts';
import { copyDevices, copyMetrics, deleteDevices } from './copied-rows.ts';
import { freshGenerationId } from './creating.ts';
import { becomeHalted, lasting } from './halting.ts';
import type { VmHandlers } from './handlers.ts';
import { replaceDisks } from './replaced-disks.ts';
import { recordAtSnapshot, withoutGone } from './snapshot-record.ts';

type VmRow = RecordNamed<'VM'>;
type Reverting = Working<'VM'>;

/** Others are kept off the VM that is reverted, and wait. */
const reverted = (_: object, view: View, self: Ref<'VM'>): readonly Hold[] => {
  const vm = view.require('VM', self).snapshot_of;
  return view.get('VM', vm) === undefined ? [] : [{ cls: 'VM', ref: vm, operation: 'reverting' }];
};

/** The disks that nobody needs any more; one that cannot be destroyed now goes when its host starts. */
const dropDisks = async (working: Reverting, disks: readonly Ref<'VDI'>[]): Promise<void> => {
  for (const vdi of disks) {
    try {
      await destruct(working, 'VDI', vdi);
      working.settle((tx) => strike(tx, working.self, [vdi]));
    } catch (error) {
      working.services.log.warn({ error, vdi }, 'A disk from before a revert could not be destroyed');
    }
  }
};

const madeFields = (tx: Tx, working: Reverting, then: Partial<VmRow>, disks: NewDisks): VmMade<'revert'> => {
  const snapshot = tx.require('VM', working.self);
  const { services } = working;
  return {
    ...copyMetrics(tx, services, snapshot),
    power_state: disks.image === nullRef ? 'Halted' : 'Suspended',
    suspend_VDI: disks.image,
    resident_on: nullRef as Ref<'host'>,
    scheduled_to_be_resident_on: nullRef as Ref<'host'>,
    domid: -1n,
    ha_always_run: false,
    parent: working.self,
    attached_PCIs: [],
    generation_id: then.generation_id === '' ? '' : freshGenerationId(services),
    requires_reboot: false,
    pending_guidances: lasting(then.pending_guidances ?? []),
    recommended_guidances: lasting(then.recommended_guidances ?? []),
    pending_guidances_recommended: lasting(then.pending_guidances_recommended ?? []),
    pending_guidances_full: lasting(then.pending_guidances_full ?? []),
  };
};

/** Answers the disks that nobody needs any more. */
const turnBack = (tx: Tx, working: Reverting, vm: Ref<'VM'>, disks: NewDisks): readonly Ref<'VDI'>[] => {
  const snapshot = tx.require('VM', working.self);
  const now = tx.require('VM', vm);
  const then = recordAtSnapshot(tx, working.self);
  const dropped = replaceDisks(tx, { snapshot, vm, now, disks });
  becomeHalted(tx, vm);
  deleteDevices(tx, tx.require('VM', vm));
  const fields = fieldsFor('VM', vmFates, 'revert', then, madeFields(tx, working, then, disks));
  tx.patch('VM', vm, withoutGone(tx, fields));
  tx.delete('VM_metrics', now.metrics);
  tx.delete('VM_guest_metrics', now.guest_metrics);
  const { services } = working;
  copyDevices(tx, { services, vm: snapshot, target: vm, origin: 'revert', disks });
  return tx.get('VDI', now.suspend_VDI) === undefined ? dropped : [...dropped, now.suspend_VDI];
};

/** A VM that is gone comes back under the identity that it had, and its snapshots are its own again. */
const bringBack = (tx: Tx, working: Reverting, disks: NewDisks): readonly Ref<'VDI'>[] => {
  const { self, services } = working;
  const snapshot = tx.require('VM', self);
  const was = snapshot.snapshot_of;
  const then = recordAtSnapshot(tx, self);
  if (tx.get('VM', was) !== undefined || tx.byUuid('VM', then.uuid ?? '') !== undefined) {
    throw new Fault('VM_REVERT_FAILED', [self, was]);
  }
  const vm = newRef<'VM'>(services);
  const fields = fieldsFor('VM', vmFates, 'revive', then, madeFields(tx, working, then, disks));
  tx.create('VM', vm, withoutGone(tx, fields));
  for (const [ref, { snapshot_of }] of [...tx.all('VM')]) {
    if (snapshot_of === was) tx.patch('VM', ref, { snapshot_of: vm });
  }
  const dropped = replaceDisks(tx, { snapshot, vm, now: tx.require('VM', vm), disks });
  copyDevices(tx, { services, vm: snapshot, target: vm, origin: 'revert', disks });
  return dropped;
};

const isLive = (vm: VmRow | undefined): boolean =>
  vm?.power_state === 'Running' || vm?.power_state === 'Paused';

/**
 * New disks first: until they are there nothing of the VM is touched, and it runs on if they cannot be made.
 */
const revert = async (working: Reverting): Promise<void> => {
  const { view, call } = working;
  const snapshot = working.record;
  const vm = snapshot.snapshot_of;
  const isThere = view.get('VM', vm) !== undefined;
  // Tells before any work that this cannot be done.
  recordAtSnapshot(view, working.self);
  let settled = false;
  const disks = await copyDisks(working, snapshot, {
    copy: (vdi) => working.making(working.self)('VDI.clone', vdi, { driver_params: new Map() }),
    withImage: snapshot.power_state === 'Suspended',
    isSettled: () => settled,
  });
  if (isLive(view.get('VM', vm))) await call('VM.hard_shutdown', vm, {});
  working.signal.throwIfAborted();
  const old = await working.commit((tx) => {
    strike(tx, working.self, allOf(disks));
    const dropped = isThere ? turnBack(tx, working, vm, disks) : bringBack(tx, working, disks);
    note(tx, working.self, working.services.host, dropped);
    return dropped;
  });
  settled = true;
  await dropDisks(working, old);
};

export const reverting = {
  revert: { operation: 'revert', holds: reverted, work: revert },
} satisfies VmHandlers;
