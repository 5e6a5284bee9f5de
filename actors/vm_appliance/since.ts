import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'boston',
  later: {
    creedence: ['get_SRs_required_for_recovery'],
  },
};
