import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'midnight-ride',
  later: {
    '22.5.0': ['is_internal'],
  },
};
