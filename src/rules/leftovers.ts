import type { ClassName, RecordNamed } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { destruct } from '../objects/construct.ts';
import type { Working } from '../objects/implement.ts';
import type { Invoker } from '../objects/invoke.ts';
import type { Services } from '../objects/services.ts';
import type { Store } from '../store/store.ts';
import type { Tx, View } from '../store/view.ts';

// Disks that are nobody's yet, or no more: noted in the row of the VM that is worked on, so that the host
// which ended in the middle of the work destroys them when it starts again.

type Leftovers = RecordNamed<'VM'>['leftovers'];

export const note = (tx: Tx, self: Ref<'VM'>, host: Ref<'host'>, disks: readonly Ref<'VDI'>[]): void => {
  const noted: Leftovers | undefined = tx.get('VM', self)?.leftovers;
  if (noted === undefined) return;
  tx.patch('VM', self, { leftovers: new Map([...noted, ...disks.map((vdi) => [vdi, host] as const)]) });
};

export const strike = (tx: Tx, self: Ref<'VM'>, disks: readonly Ref<'VDI'>[]): void => {
  const noted = tx.get('VM', self)?.leftovers;
  if (noted === undefined || !disks.some((vdi) => noted.has(vdi))) return;
  tx.patch('VM', self, { leftovers: new Map([...noted].filter(([vdi]) => !disks.includes(vdi))) });
};

/** A disk that work on a VM has just made, taken back if the work fails, or ends with its host. */
export const noteMade = async (
  working: Pick<Working<ClassName>, 'call' | 'commit' | 'services' | 'undo'>,
  vm: Ref<'VM'>,
  vdi: Ref<'VDI'>,
  isSettled: () => boolean = () => false,
): Promise<void> => {
  working.undo(async () => {
    if (isSettled()) return;
    await destruct(working, 'VDI', vdi);
    await working.commit((tx) => strike(tx, vm, [vdi]));
  });
  await working.commit((tx) => note(tx, vm, working.services.host, [vdi]));
};

/** Disks that work of this host has left, and that could not be destroyed so far. */
export const leftBy = (view: View, host: Ref<'host'>): readonly Ref<'VDI'>[] => {
  const isBusy = (vdi: Ref<'VDI'>): boolean => (view.get('VDI', vdi)?.current_operations.size ?? 0) > 0;
  return [...view.all('VM')].flatMap(([, { leftovers, current_operations }]) =>
    [...leftovers].flatMap(([vdi, by]) => {
      if (by !== host || current_operations.size > 0 || isBusy(vdi)) return [];
      return ownerOf(view, vdi) === 'nobody' ? [vdi] : [];
    }),
  );
};

type Owner = 'nobody' | 'somebody' | 'unknown';

/**
 * Whose a noted disk is. One that a guest was falling asleep in as its host ended may have its memory by now,
 * whatever the row says: it is kept until that is known.
 */
const ownerOf = (view: View, vdi: Ref<'VDI'>): Owner => {
  const row = view.get('VDI', vdi);
  if (row === undefined || row.VBDs.length > 0 || vdi === nullRef) return 'somebody';
  const [sleeper] = [...view.all('VM')].flatMap(([, vm]) => (vm.suspend_VDI === vdi ? [vm.power_state] : []));
  if (sleeper === undefined || sleeper === 'Halted') return 'nobody';
  return sleeper === 'Suspended' ? 'somebody' : 'unknown';
};

export interface Clearing {
  readonly store: Store;
  readonly invoker: Pick<Invoker, 'call'>;
  readonly services: Pick<Services, 'host' | 'log'>;
}

/** Destroys a disk that a VM's row notes. Answers whether it is nobody's business any more. */
const clear = async ({ store, invoker, services }: Clearing, vdi: Ref<'VDI'>): Promise<boolean> => {
  try {
    const owner = ownerOf(store.latest, vdi);
    if (owner === 'nobody') await destruct(invoker, 'VDI', vdi);
    return owner !== 'unknown';
  } catch (error) {
    services.log.warn({ error, vdi }, 'A disk that is left from unfinished work could not be destroyed');
    return false;
  }
};

/** One that stays is tried again when this host starts. */
export const clearLeftover = async (by: Clearing, vm: Ref<'VM'>, vdi: Ref<'VDI'>): Promise<void> => {
  if (await clear(by, vdi)) await by.store.commit((tx) => strike(tx, vm, [vdi]));
};

/**
 * Asked when a host starts: whatever work noted as its own was cut off. One that stays is tried next time.
 */
export const clearLeftovers = async (by: Clearing): Promise<void> => {
  for (const [vm, { leftovers }] of [...by.store.latest.all('VM')]) {
    const gone: Ref<'VDI'>[] = [];
    for (const [vdi, host] of leftovers) {
      if (host === by.services.host && (await clear(by, vdi))) gone.push(vdi);
    }
    if (gone.length > 0) await by.store.commit((tx) => strike(tx, vm, gone));
  }
};

/** One that stayed, by order. */
export const destroyLeftover = async (
  { store, invoker }: Pick<Clearing, 'store' | 'invoker'>,
  vdi: Ref<'VDI'>,
): Promise<void> => {
  await destruct(invoker, 'VDI', vdi);
  await store.commit((tx) => {
    for (const [vm, { leftovers }] of [...tx.all('VM')]) if (leftovers.has(vdi)) strike(tx, vm, [vdi]);
  });
};
