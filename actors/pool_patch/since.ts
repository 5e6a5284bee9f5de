import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'miami',
  later: {
    tampa: ['pool_clean', 'clean_on_host'],
    ely: ['pool_update'],
  },
};
