import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    miami: ['capabilities', 'other_config'],
    orlando: ['driver_filename'],
    clearwater: ['features'],
    dundee: ['required_cluster_stack'],
    '24.37.0': ['host_pending_features'],
    '26.15.0': ['supported_image_formats'],
  },
};
