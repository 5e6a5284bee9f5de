import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'kolkata',
  later: {
    lima: ['pending_forget'],
    '24.3.0': ['is_quorate', 'quorum', 'live_hosts'],
    '24.15.0': ['cluster_stack_version'],
    '25.17.0': ['expected_hosts'],
  },
};
