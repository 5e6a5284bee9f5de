import { action } from '../../src/model/class.ts';

/** What clients ask for by HTTP. */
export const actions = {
  get_repository: action(
    'GET',
    '/repository',
    '_local_root_',
    'Gives files of a repository to the host itself.',
  ),
  get_enabled_repository: action(
    'GET',
    '/repository/enabled',
    'pool-operator',
    'Gives files of the repositories in use.',
    { certificate: true },
  ),
} as const;
