import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'boston',
  later: {
    'vgpu-tech-preview': ['allocation_algorithm', 'get_remaining_capacity'],
    'vgpu-productisation': [
      'supported_VGPU_types',
      'enabled_VGPU_types',
      'update_enabled_VGPU_types',
      'update_supported_VGPU_types',
    ],
  },
};
