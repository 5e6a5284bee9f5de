import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    miami: ['unpluggable'],
    symc: ['unplug_force_no_safety_check', 'pause', 'unpause'],
  },
};
