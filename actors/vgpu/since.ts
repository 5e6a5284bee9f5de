import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'boston',
  later: {
    'vgpu-tech-preview': ['type', 'resident_on'],
    dundee: ['scheduled_to_be_resident_on', 'atomic_set_resident_on'],
    inverness: ['compatibility_metadata'],
    quebec: ['extra_args', 'PCI'],
  },
};
