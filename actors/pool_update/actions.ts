import { action } from '../../src/model/class.ts';

/** What clients ask for by HTTP. */
export const actions = {
  get_pool_update_download: action('GET', '/update/', 'read-only', 'Gives the files of an update.', {
    open: true,
  }),
} as const;
