import { action } from '../../src/model/class.ts';
import { bool } from '../../src/model/types.ts';

/** What clients ask for by HTTP. */
export const actions = {
  post_remote_db_access: action(
    'POST',
    '/remote_db_access',
    'pool-admin',
    'Reads and writes rows for a member.',
  ),
  post_remote_db_access_v2: action(
    'POST',
    '/remote_db_access_v2',
    'pool-admin',
    'Reads and writes rows for a member.',
  ),
  get_pool_xml_db_sync: action('GET', '/pool/xmldbdump', 'pool-admin', 'Gives the database.', {
    audited: true,
  }),
  put_pool_xml_db_sync: action('PUT', '/pool/xmldbdump', 'pool-admin', 'Takes a database.', {
    params: { dry_run: [bool, 'True: it is only told whether it could be taken.', false] },
  }),
  get_config_sync: action('GET', '/sync_config_files', 'pool-admin', 'Gives settings that all hosts share.'),
  get_wlb_report: action('GET', '/wlb_report', 'read-only', 'Gives a report of the balancing server.'),
  get_wlb_diagnostics: action(
    'GET',
    '/wlb_diagnostics',
    'read-only',
    'Gives the log of the balancing server.',
  ),
  get_updates: action('GET', '/updates', 'pool-operator', 'Lists updates that hosts lack.', {
    certificate: true,
  }),
  put_bundle: action('PUT', '/bundle', 'pool-operator', 'Takes a bundle of updates.'),
} as const;
