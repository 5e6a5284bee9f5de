import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { noteMade } from '../../src/rules/leftovers.ts';
import type { View } from '../../src/store/view.ts';

type VmRow = RecordNamed<'VM'>;
type VbdRow = RecordNamed<'VBD'>;

/** Makes a new disk of one that there is. */
export type CopyDisk = (vdi: Ref<'VDI'>) => Promise<Ref<'VDI'>>;

/** What the rows of a copy are made with. */
export interface NewDisks {
  readonly byDrive: ReadonlyMap<Ref<'VBD'>, Ref<'VDI'>>;
  /** The memory image; the null reference where there is none. */
  readonly image: Ref<'VDI'>;
}

export const allOf = ({ byDrive, image }: NewDisks): readonly Ref<'VDI'>[] => [...byDrive.values(), image];

/** What is in a CD drive is shared by all who have it, and is never copied. */
export const hasOwnDisk = (view: View, { type, empty, VDI }: VbdRow): boolean =>
  type !== 'CD' && !empty && view.get('VDI', VDI) !== undefined;

export const ownDrives = (view: View, vm: VmRow): readonly (readonly [Ref<'VBD'>, VbdRow])[] =>
  vm.VBDs.flatMap((ref) => {
    const vbd = view.get('VBD', ref);
    return vbd !== undefined && hasOwnDisk(view, vbd) ? [[ref, vbd] as const] : [];
  });

export interface DiskWish {
  readonly copy: CopyDisk;
  /** The memory image comes along. */
  readonly withImage: boolean;
  readonly leaveOut?: readonly Ref<'VDI'>[];
  /** Makes a disk of the memory image, where that is not done as with the others. */
  readonly copyImage?: CopyDisk;
  /** The rows of the copy are there: from then on its disks are somebody's. */
  readonly isSettled?: () => boolean;
}

/** One after another, so that what was made before one that fails is known and taken back. */
export const copyDisks = async (working: Working<'VM'>, vm: VmRow, wish: DiskWish): Promise<NewDisks> => {
  const drives = ownDrives(working.view, vm).filter(([, { VDI }]) => wish.leaveOut?.includes(VDI) !== true);
  const image = wish.withImage && working.view.get('VDI', vm.suspend_VDI) !== undefined;
  const steps = drives.length + (image ? 1 : 0);
  const byDrive = new Map<Ref<'VBD'>, Ref<'VDI'>>();
  const make = async (vdi: Ref<'VDI'>, copy: CopyDisk): Promise<Ref<'VDI'>> => {
    working.signal.throwIfAborted();
    const made = await copy(vdi);
    await noteMade(working, working.self, made, wish.isSettled);
    return made;
  };
  for (const [ref, { VDI }] of drives) {
    byDrive.set(ref, await make(VDI, wish.copy));
    working.progress((0.9 * byDrive.size) / steps);
  }
  const copyImage = wish.copyImage ?? wish.copy;
  return { byDrive, image: image ? await make(vm.suspend_VDI, copyImage) : (nullRef as Ref<'VDI'>) };
};
