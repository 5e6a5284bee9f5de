import type { Ref } from '../../src/model/types.ts';
import { type Clearing, clearLeftovers } from '../../src/rules/leftovers.ts';
import { deleteDevices } from './copied-rows.ts';

/**
 * Asked when a host starts: VMs whose disks it was filling as it ended are gone, and all disks that work
 * of it had made and not finished. What cannot be destroyed now is tried next time.
 */
export const clearArrivals = async (by: Clearing): Promise<void> => {
  const { store, services } = by;
  const arriving = [...store.latest.all('VM')].filter(([, vm]) => vm.imported_by === services.host);
  const rows = arriving.map(([vm]): Ref<'VM'> => vm);
  // A disk is nobody's only once no drive has it.
  if (rows.length > 0)
    await store.commit((tx) => {
      for (const vm of rows) deleteDevices(tx, tx.require('VM', vm));
    });
  await clearLeftovers(by);
  const isBare = (vm: Ref<'VM'>): boolean => store.latest.get('VM', vm)?.leftovers.size === 0;
  if (rows.some(isBare))
    await store.commit((tx) => {
      for (const vm of rows) if (tx.get('VM', vm)?.leftovers.size === 0) tx.delete('VM', vm);
    });
};
