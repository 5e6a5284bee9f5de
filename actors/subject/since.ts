import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'george',
  later: {
    'midnight-ride': ['roles', 'add_to_roles', 'remove_from_roles', 'get_permissions_name_label'],
  },
};
