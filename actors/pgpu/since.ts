import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'boston',
  later: {
    'vgpu-tech-preview': [
      'supported_VGPU_types',
      'enabled_VGPU_types',
      'resident_VGPUs',
      'size',
      'add_enabled_VGPU_types',
      'remove_enabled_VGPU_types',
      'set_enabled_VGPU_types',
      'set_GPU_group',
      'get_remaining_capacity',
    ],
    'vgpu-productisation': ['supported_VGPU_max_capacities'],
    cream: ['dom0_access', 'is_system_display_device', 'enable_dom0_access', 'disable_dom0_access'],
    inverness: ['compatibility_metadata'],
  },
};
