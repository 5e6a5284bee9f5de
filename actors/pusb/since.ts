import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'inverness',
  later: {
    stockholm: ['speed'],
  },
};
