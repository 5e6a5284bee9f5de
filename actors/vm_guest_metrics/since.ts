import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    orlando: ['other_config', 'live'],
    dundee: ['can_use_hotplug_vbd', 'can_use_hotplug_vif', 'PV_drivers_detected'],
    '24.28.0': ['netbios_name'],
    '25.15.0': ['services'],
  },
};
