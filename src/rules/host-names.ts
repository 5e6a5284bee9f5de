import type { View } from '../store/view.ts';

/** Whether a host of the pool has this name or address, in lower case. */
export const isHostName = (view: View, name: string): boolean => {
  for (const [, { hostname, address }] of view.all('host'))
    if (hostname.toLowerCase() === name || address.toLowerCase() === name) return true;
  return false;
};
