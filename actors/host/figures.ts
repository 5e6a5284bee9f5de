import { freeBytes } from '../../src/rules/placement/memory.ts';
import type { Tx } from '../../src/store/view.ts';

/** Brings what is left of the memory of each host in line with the guests that are there or on their way. */
export const refreshMemory = (tx: Tx): void => {
  for (const [host, { metrics }] of tx.all('host')) {
    if (tx.get('host_metrics', metrics) === undefined) continue;
    tx.patch('host_metrics', metrics, { memory_free: freeBytes(tx, host) });
  }
};
