import type { Ref } from '../../src/model/types.ts';
import type { Store } from '../../src/store/store.ts';

/** What a host itself had open ended with the process that had it open. */
export const detachHostDrives = async (store: Store, host: Ref<'host'>): Promise<void> => {
  const { latest } = store;
  const domain = latest.get('host', host)?.control_domain;
  const drives = (domain === undefined ? undefined : latest.get('VM', domain))?.VBDs ?? [];
  const open = drives.filter((vbd) => latest.get('VBD', vbd)?.currently_attached === true);
  if (open.length === 0) return;
  await store.commit((tx) => {
    for (const vbd of open) {
      if (tx.get('VBD', vbd) === undefined) continue;
      tx.patch('VBD', vbd, { currently_attached: false, device: '', runtime_properties: new Map() });
    }
  });
};
