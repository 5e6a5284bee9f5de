import { action } from '../../src/model/class.ts';

/** What clients ask for by HTTP. */
export const actions = {
  put_pool_patch_upload: action('PUT', '/pool_patch_upload', 'pool-operator', 'Takes a patch.'),
} as const;
