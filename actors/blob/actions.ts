import { action } from '../../src/model/class.ts';
import { string } from '../../src/model/types.ts';

const named = {
  ref: [string, 'Reference of the blob.', ''],
  uuid: [string, 'Its uuid, where there is no `ref`.', ''],
} as const;

/** What clients ask for by HTTP. */
export const actions = {
  get_blob: action('GET', '/blob', 'read-only', 'Gives the bytes of a blob; anybody may have a public one.', {
    open: true,
    params: named,
  }),
  put_blob: action('PUT', '/blob', 'vm-power-admin', 'Takes the bytes of a blob.', { params: named }),
} as const;
