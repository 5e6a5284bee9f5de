import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: '1.301.0',
  later: {
    '22.12.0': ['gpgkey_path', 'set_gpgkey_path'],
    '22.20.0': ['apply_livepatch'],
    '24.23.0': ['origin', 'introduce_bundle'],
    '25.7.0': ['certificate', 'introduce_remote_pool'],
  },
};
