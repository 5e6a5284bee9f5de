import { fitting } from '../../src/model/sizes.ts';
import { dateTimeOf, label, type Ref } from '../../src/model/types.ts';
import { destruct } from '../../src/objects/construct.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { AlertName } from '../../src/rules/alerts.ts';
import { leaveAlert } from '../../src/rules/messages.ts';
import { asFault, Fault } from '../../src/std/fault.ts';
import { surplus } from './retention.ts';

type Run = Working<'VMSS'>;

/** One that does not run has no memory to be kept. */
const isCheckpointed = ({ record, view }: Run, vm: Ref<'VM'>): boolean =>
  record.type === 'checkpoint' && view.require('VM', vm).power_state !== 'Halted';

const take = async (working: Run, vm: Ref<'VM'>): Promise<void> => {
  const { name_label } = working.record;
  const new_name = fitting(label, `${dateTimeOf(working.services.clock.now())} ${name_label}`);
  const snapshot = isCheckpointed(working, vm)
    ? await working.call('VM.checkpoint', vm, { new_name })
    : await working.call('VM.snapshot', vm, { new_name, ignore_vdis: [] });
  await working.commit((tx) => tx.patch('VM', snapshot, { is_vmss_snapshot: true }));
};

/** Disks first: as long as one of them is there, its snapshot is too, and the next run tries again. */
const remove = async (working: Run, snapshot: Ref<'VM'>): Promise<void> => {
  const { view } = working;
  // Those of a guest that sleeps are its own until it ends.
  if (view.require('VM', snapshot).power_state !== 'Halted') {
    await working.call('VM.hard_shutdown', snapshot, {});
  }
  for (const ref of view.require('VM', snapshot).VBDs) {
    const vbd = view.get('VBD', ref);
    const isItsOwn = vbd?.type === 'Disk' && view.get('VDI', vbd.VDI)?.VBDs.length === 1;
    if (isItsOwn) await destruct(working, 'VDI', vbd.VDI);
  }
  await destruct(working, 'VM', snapshot);
};

const tidy = async (working: Run, vm: Ref<'VM'>): Promise<void> => {
  const { view, record } = working;
  for (const snapshot of surplus(view, view.require('VM', vm), record.retained_snapshots)) {
    working.signal.throwIfAborted();
    await remove(working, snapshot);
  }
};

const complaint = ({ view }: Run, vm: Ref<'VM'>, error: unknown): string => {
  const { code, params } = asFault(error);
  const { name_label = '', uuid = '' } = view.get('VM', vm) ?? {};
  const words = [code, ...params].map((word) => `'${word}'`).join(', ');
  return `VM: ${name_label} UUID: ${uuid} Error: [${words}],`;
};

const tell = (working: Run, name: AlertName, body: string): void =>
  working.settle((tx) => {
    leaveAlert(tx, working.services, { name, cls: 'VMSS', obj_uuid: working.record.uuid, body });
  });

/**
 * One VM after another: each gets its snapshot, and then loses the oldest ones that it has too many. What
 * came of it is told in a message, since nobody waits for the answer of a run by schedule.
 */
export const runPolicy = async (working: Run): Promise<string> => {
  const { self, services, signal } = working;
  const last_run_time = dateTimeOf(services.clock.now());
  const { VMs, name_label } = working.record;
  await working.commit((tx) => tx.patch('VMSS', self, { last_run_time }));
  const failed: Ref<'VM'>[] = [];
  const complaints: string[] = [];
  for (const [done, vm] of VMs.entries()) {
    signal.throwIfAborted();
    try {
      await take(working, vm);
      await tidy(working, vm);
    } catch (error) {
      failed.push(vm);
      complaints.push(complaint(working, vm, error));
    }
    working.progress((done + 1) / VMs.length);
  }
  signal.throwIfAborted();
  if (failed.length === 0) {
    tell(working, 'VMSS_SNAPSHOT_SUCCEEDED', `Snapshots of schedule '${name_label}' were taken`);
    return '';
  }
  const body = complaints.join('\n');
  await working.commit((tx) => {
    const { uuid } = tx.require('VMSS', self);
    leaveAlert(tx, services, { name: 'VMSS_SNAPSHOT_FAILED', cls: 'VMSS', obj_uuid: uuid, body });
  });
  throw new Fault('OPERATION_PARTIALLY_FAILED', ['VMSS.snapshot_now', ...failed]);
};
