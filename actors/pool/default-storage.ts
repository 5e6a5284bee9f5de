import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Store } from '../../src/store/store.ts';
import type { View } from '../../src/store/view.ts';

const exists = (view: View, sr: Ref<'SR'>): boolean => sr !== nullRef && view.get('SR', sr) !== undefined;

/** A pool without any SR for disks gets one of its own; once there was one, what users did stays. */
export const needsDefaultSr = (view: View): boolean => {
  const [, pool] = view.only('pool');
  if (exists(view, pool.default_SR)) return false;
  for (const [, sr] of view.all('SR')) if (sr.content_type !== 'iso' && !sr.is_tools_sr) return false;
  return true;
};

/** Whether there is no SR for CD images yet. */
export const needsIsoSr = (view: View): boolean => {
  for (const [, sr] of view.all('SR')) if (sr.content_type === 'iso' && !sr.is_tools_sr) return false;
  return true;
};

/** New disks, memory of suspended VMs and crash dumps go here, where the pool does not say otherwise yet. */
export const useAsDefaultSr = (store: Store, sr: Ref<'SR'>): Promise<void> =>
  store.commit((tx) => {
    const [ref, pool] = tx.only('pool');
    for (const field of ['default_SR', 'suspend_image_SR', 'crash_dump_SR'] as const) {
      if (!exists(tx, pool[field])) tx.patch('pool', ref, { [field]: sr });
    }
    const { master } = pool;
    const host = tx.require('host', master);
    for (const field of ['suspend_image_sr', 'crash_dump_sr'] as const) {
      if (!exists(tx, host[field])) tx.patch('host', master, { [field]: sr });
    }
  });
