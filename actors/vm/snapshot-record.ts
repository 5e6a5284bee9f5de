import type { Field, RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { readRecordText } from '../../src/rules/fates/record-text.ts';
import { Fault } from '../../src/std/fault.ts';
import { own } from '../../src/std/own.ts';
import type { View } from '../../src/store/view.ts';
import { VM } from './class.ts';

type VmRow = RecordNamed<'VM'>;

/** What an old snapshot does not know of its VM, since its own row says something else here. */
const ownToSnapshots = [
  'name_label',
  'is_a_snapshot',
  'is_a_template',
  'is_default_template',
  'snapshot_of',
  'snapshot_time',
  'snapshot_info',
  'snapshot_metadata',
  'transportable_snapshot_id',
  'is_vmss_snapshot',
  'ha_restart_priority',
  'blocked_operations',
  'appliance',
  'start_delay',
  'shutdown_delay',
  'order',
  'suspend_SR',
  'version',
] as const satisfies readonly (keyof VmRow)[];

/**
 * The VM as it was when a snapshot of it was taken. Snapshots of old releases have no record of it: then
 * their own row says what it can, and the rest is as it is now.
 */
export const recordAtSnapshot = (view: View, self: Ref<'VM'>): Partial<VmRow> => {
  const snapshot = view.require('VM', self);
  if (snapshot.snapshot_metadata !== '') {
    const { snapshot_metadata } = snapshot;
    try {
      return readRecordText(VM, snapshot_metadata);
    } catch {
      throw new Fault('INVALID_VALUE', ['snapshot_metadata', snapshot_metadata.slice(0, 80)]);
    }
  }
  const now = view.get('VM', snapshot.snapshot_of);
  if (now === undefined) throw new Fault('VM_REVERT_FAILED', [self, snapshot.snapshot_of]);
  return { ...snapshot, ...Object.fromEntries(ownToSnapshots.map((field) => [field, now[field]])) };
};

/** Objects that were there then may be gone by now: what named them names nothing. */
export const withoutGone = (view: View, fields: Partial<VmRow>): Partial<VmRow> => {
  const isGone = (cls: string, ref: unknown): boolean =>
    view.get(cls as 'VM', ref as Ref<'VM'>) === undefined;
  const gone = Object.entries(fields).filter(([name, value]) => {
    const type = own<Field>(VM.fields, name)?.type;
    return type?.kind === 'ref' && type.of !== undefined && isGone(type.of, value);
  });
  return { ...fields, ...Object.fromEntries(gone.map(([name]) => [name, nullRef])) };
};
