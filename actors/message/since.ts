import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'orlando',
  later: {
    '22.19.0': ['destroy_many'],
    '26.6.0': ['destroy_all'],
  },
};
