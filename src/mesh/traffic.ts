import type { Item } from './frame.ts';

/** What went one way between two hosts, over all links that they have had. */
export interface Flow {
  readonly bytes: number;
  readonly frames: number;
  readonly calls: number;
}

export interface Traffic {
  count(way: 'in' | 'out', bytes: number): void;
  item(way: 'in' | 'out', kind: Item[0]): void;
  flows(): { readonly in: Flow; readonly out: Flow };
}

export const trafficOf = (): Traffic => {
  const flows = { in: { bytes: 0, frames: 0, calls: 0 }, out: { bytes: 0, frames: 0, calls: 0 } };
  return {
    count: (way, bytes) => {
      flows[way].bytes += bytes;
      flows[way].frames += 1;
    },
    item: (way, kind) => {
      if (kind === 'call') flows[way].calls += 1;
    },
    flows: () => ({ in: { ...flows.in }, out: { ...flows.out } }),
  };
};
