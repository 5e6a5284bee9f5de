import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    miami: ['other_config', 'slave_local_login', 'slave_local_login_with_password', 'local_logout'],
    george: [
      'is_local_superuser',
      'subject',
      'validation_time',
      'auth_user_sid',
      'get_all_subject_identifiers',
      'logout_subject_identifier',
    ],
    'midnight-ride': ['auth_user_name', 'rbac_permissions', 'tasks', 'parent'],
    clearwater: ['originator'],
    dundee: ['create_from_db_file'],
    '21.2.0': ['client_certificate'],
  },
};
