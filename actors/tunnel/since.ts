import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'cowley',
  later: {
    '1.250.0': ['protocol'],
  },
};
