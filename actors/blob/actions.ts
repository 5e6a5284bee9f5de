import { action } from '../../src/model/class.ts';

/** What clients ask for by HTTP. */
export const actions = {
  get_blob: action('GET', '/blob', 'read-only', 'Gives the bytes of a blob; anybody may have a public one.', {
    open: true,
  }),
  put_blob: action('PUT', '/blob', 'vm-power-admin', 'Takes the bytes of a blob.'),
} as const;
