import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'ely',
  later: {
    inverness: ['other_config', 'enforce_homogeneity'],
  },
};
