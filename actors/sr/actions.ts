import { action } from '../../src/model/class.ts';

/** What clients ask for by HTTP. */
export const actions = {
  get_services_sm: action('GET', '/services/SM', 'vm-power-admin', 'Lists storage drivers.'),
  post_services_sm: action('POST', '/services/SM', 'vm-power-admin', 'Speaks with a storage driver.'),
  put_services_sm: action('PUT', '/services/SM', 'vm-power-admin', 'Speaks with a storage driver.'),
  sr_rrd: action('GET', '/sr_rrd', 'read-only', 'Gives the measurements of a repository.'),
} as const;
