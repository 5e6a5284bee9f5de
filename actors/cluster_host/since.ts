import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'kolkata',
  later: {
    lima: ['forget'],
    '24.3.0': ['live', 'last_update_live'],
  },
};
