import { action } from '../../src/model/class.ts';

/** What clients ask for by HTTP. */
export const actions = {
  put_messages: action('PUT', '/messages', 'vm-power-admin', 'Takes messages of another pool.'),
} as const;
