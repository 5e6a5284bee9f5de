import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'boston',
  later: {
    'clearwater-whetstone': [
      'subsystem_vendor_id',
      'subsystem_vendor_name',
      'subsystem_device_id',
      'subsystem_device_name',
    ],
    falcon: ['virtual_functions', 'physical_function', 'scheduled_to_be_attached_to'],
    kolkata: ['driver_name'],
    '24.14.0': ['disable_dom0_access', 'enable_dom0_access', 'get_dom0_access_status'],
  },
};
