import type { RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Refusal } from '../objects/refusal.ts';
import type { View } from '../store/view.ts';

/** Who else has the disk in a drive that is plugged or about to be; a suspended guest has let go of it. */
const holders = (
  view: View,
  self: Ref<'VBD'>,
  vdi: RecordNamed<'VDI'>,
): readonly (readonly [RecordNamed<'VBD'>, RecordNamed<'VM'> | undefined])[] =>
  vdi.VBDs.flatMap((ref) => {
    const vbd = ref === self ? undefined : view.get('VBD', ref);
    if (vbd === undefined || !(vbd.currently_attached || vbd.reserved || vbd.current_operations.size > 0))
      return [];
    const vm = view.get('VM', vbd.VM);
    return vm?.power_state === 'Suspended' ? [] : [[vbd, vm] as const];
  });

/**
 * One writer, or any number of readers, unless the disk is sharable. A control domain that only reads, as
 * backups do, is in nobody's way.
 */
export const sharingRefusal = (
  view: View,
  self: Ref<'VBD'>,
  vbd: RecordNamed<'VBD'>,
): Refusal | undefined => {
  const vdi = view.get('VDI', vbd.VDI);
  if (vdi === undefined || vdi.sharable) return undefined;
  const others = holders(view, self, vdi);
  const written = others.some(([other]) => other.mode === 'RW');
  const read = others.some(([other, vm]) => other.mode === 'RO' && vm?.is_control_domain !== true);
  return written || (read && vbd.mode === 'RW') ? ['VDI_IN_USE', vbd.VDI] : undefined;
};
