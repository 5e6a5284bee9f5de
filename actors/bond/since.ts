import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'miami',
  later: {
    boston: ['primary_slave', 'mode', 'set_mode'],
    tampa: ['properties', 'links_up', 'set_property'],
    quebec: ['auto_update_mac'],
  },
};
