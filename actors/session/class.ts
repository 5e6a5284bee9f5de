import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import {
  bool,
  confidential,
  datetime,
  epoch,
  label,
  nullRef,
  ref,
  set,
  string,
  stringMap,
  upTo,
} from '../../src/model/types.ts';
import { actions } from './actions.ts';
import { since } from './since.ts';

const userName = upTo(string, 1_024);
const password = confidential(upTo(string, 1_024));

export const session = defineClass('session', {
  doc: 'A login. Its reference is a secret: whoever holds it can call with the rights of its user.',
  since,
  writeRole: 'pool-admin',
  persist: false,
  listed: false,
  events: false,
  fields: {
    uuid: dyn(string, 'Names the session without giving the right to use it, so it may be logged.'),
    this_host: dyn(ref('host'), 'Host that the client logged in to.', { gone: 'cleared' }),
    this_user: dyn(ref('user'), 'Local account behind the session; null for users of a directory.', {
      gone: 'goes too',
    }),
    last_active: dyn(
      datetime,
      'Last call made with this session; an idle session is ended some time after it.',
    ),
    pool: dyn(bool, 'True for sessions that hosts of the pool open with each other.'),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
    is_local_superuser: dyn(bool, 'True for root and for hosts of the pool, who need no role.', {
      default: false,
    }),
    subject: dyn(
      ref('subject'),
      'Directory user or group that gave the right to log in; null for the local superuser.',
      { default: nullRef, gone: 'goes too' },
    ),
    validation_time: dyn(
      datetime,
      'When the rights of a directory user were last checked against the directory.',
      { default: epoch },
    ),
    auth_user_sid: dyn(
      string,
      'Security identifier of the user in the directory, empty for the local superuser.',
      { default: '' },
    ),
    auth_user_name: dyn(string, 'Name of the user as the directory spells it.', { default: '' }),
    rbac_permissions: ro(set(string), "Names of all permissions that the session's roles add up to.", {
      default: [],
    }),
    tasks: dyn(set(ref('task')), 'Tasks started with this session.', {
      inverse: 'task.session',
      computed: true,
    }),
    parent: ro(ref('session'), 'Session that this one was opened on behalf of, null for an ordinary login.', {
      default: nullRef,
      gone: 'goes too',
    }),
    originator: dyn(
      string,
      'Name the client program gave itself at login; the number of its sessions is limited.',
      { default: '' },
    ),
    client_certificate: dyn(
      bool,
      'True if the client proved itself by a TLS certificate instead of a password.',
      { default: false },
    ),
  },
  actions,
  messages: {
    login_with_password: {
      doc: 'Log in and get a session; wrong passwords are answered slowly on purpose.',
      role: 'read-only',
      params: {
        uname: [userName, 'Account, of the local superuser or of the directory.'],
        pwd: [password, 'Password in clear text, so use HTTPS.'],
        version: [string, 'API version the client was written for; it changes nothing.', '1.1'],
        originator: [string, 'Name of the client program, as `xen-api-scripts-myapp`.', ''],
      },
      result: confidential(ref('session')),
      errors: ['SESSION_AUTHENTICATION_FAILED', 'HOST_IS_SLAVE'],
      sessionless: true,
      secret: true,
      onMember: true,
    },
    logout: {
      doc: 'End the session at once, with its consoles, transfers and waits; calls that run are not stopped.',
      role: 'read-only',
    },
    change_password: {
      doc: 'Set a new password for the local account of this session; its other sessions end.',
      role: '_local_root_',
      params: {
        old_pwd: [password, 'Present password, which must be right.'],
        new_pwd: [password, 'Password to be used from now on.'],
      },
    },
    slave_login: {
      doc: 'Let a host of the pool log in to its coordinator.',
      role: 'pool-admin',
      params: {
        host: [ref('host'), 'Host that logs in.'],
        psecret: [confidential(string), 'Secret that all hosts of the pool share.'],
      },
      result: confidential(ref('session')),
      sessionless: true,
      secret: true,
      onMember: true,
      hidden: true,
    },
    slave_local_login: {
      doc: 'Open a session that works on this host alone, even while the pool is out of reach.',
      role: 'pool-admin',
      params: { psecret: [confidential(string), 'Secret that all hosts of the pool share.'] },
      result: confidential(ref('session')),
      sessionless: true,
      secret: true,
      emergency: true,
      onMember: true,
      hidden: true,
    },
    slave_local_login_with_password: {
      doc: 'Log in to this host alone, for repairs while its pool is out of reach.',
      role: 'pool-admin',
      params: {
        uname: [userName, 'Local account, commonly root.'],
        pwd: [password, 'Password in clear text.'],
      },
      result: confidential(ref('session')),
      sessionless: true,
      secret: true,
      emergency: true,
      onMember: true,
    },
    create_from_db_file: {
      doc: 'Open a read-only session on a database saved to a file, to look inside a backup.',
      role: '_local_root_',
      params: { filename: [string, 'Path of the file on the host that answers.'] },
      result: confidential(ref('session')),
      async: true,
    },
    local_logout: {
      doc: 'End a session that was opened for this host alone.',
      role: 'pool-admin',
      emergency: true,
      onMember: true,
    },
    get_all_subject_identifiers: {
      doc: 'Directory identifiers of everyone who is logged in by a directory now.',
      role: 'read-only',
      result: set(string),
      async: true,
    },
    logout_subject_identifier: {
      doc: "End all sessions of one directory user, except the caller's own.",
      role: 'pool-operator',
      params: { subject_identifier: [label, 'Security identifier of that user.'] },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    session: typeof session;
  }
}
