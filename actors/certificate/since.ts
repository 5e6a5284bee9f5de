import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'stockholm',
  later: {
    '1.294.0': ['name', 'type'],
    '24.20.0': ['fingerprint_sha256', 'fingerprint_sha1'],
    '26.13.0': ['purpose'],
  },
};
