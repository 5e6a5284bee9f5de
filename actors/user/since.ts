import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    orlando: ['other_config'],
  },
};
