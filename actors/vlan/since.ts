import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'miami',
  later: {
    inverness: ['pool_introduce'],
  },
};
