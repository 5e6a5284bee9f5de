import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'vgpu-tech-preview',
  later: {
    'vgpu-productisation': [
      'max_resolution_x',
      'max_resolution_y',
      'supported_on_GPU_groups',
      'enabled_on_GPU_groups',
    ],
    dundee: ['implementation', 'identifier', 'experimental'],
    quebec: ['compatible_types_in_vm', 'compatible_types_on_pgpu'],
  },
};
