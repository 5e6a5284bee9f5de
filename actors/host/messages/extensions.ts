import type { Messages } from '../../../src/model/class.ts';
import {
  bool,
  confidential,
  datetime,
  label,
  map,
  ref,
  set,
  string,
  stringMap,
} from '../../../src/model/types.ts';

/** Blobs, plugins, extensions, the clock and directories of users. */
export const extensions = {
  create_new_blob: {
    doc: 'Make an empty blob with the host, to be filled by an HTTP upload.',
    role: 'pool-operator',
    self: 'host',
    params: {
      name: [label, 'Key under which it is found in `blobs`.'],
      mime_type: [string, 'MIME type, empty for `application/octet-stream`.'],
      public: [bool, 'True if it can be read without logging in.', false],
    },
    result: ref('blob'),
    async: true,
  },
  call_plugin: {
    doc: 'Run a plugin, which is a script on the host, and answer what it prints.',
    role: 'pool-admin',
    self: 'host',
    params: {
      plugin: [label, 'File name of the plugin.'],
      fn: [label, 'Function of the plugin.'],
      args: [stringMap, 'Arguments by name.'],
    },
    result: string,
    async: true,
  },
  has_extension: {
    doc: 'Whether the host has an extension.',
    role: 'pool-admin',
    self: 'host',
    params: { name: [label, 'Name of the call that the extension adds.'] },
    result: bool,
    async: true,
  },
  call_extension: {
    doc: 'Run a call that an extension adds, and answer what it answers.',
    role: 'pool-admin',
    self: 'host',
    params: { call: [string, 'Name of the call.'] },
    result: string,
  },
  get_servertime: {
    doc: 'Clock of the host in UTC.',
    role: 'read-only',
    self: 'host',
    result: datetime,
  },
  get_server_localtime: {
    doc: 'Clock of the host in its own time zone, without naming the zone.',
    role: 'read-only',
    self: 'host',
    result: datetime,
  },
  enable_binary_storage: {
    doc: 'Allow blobs and stored performance data on the host.',
    role: '_local_root_',
    self: 'host',
    async: true,
    poolInternal: true,
    hidden: true,
  },
  disable_binary_storage: {
    doc: 'Refuse blobs and stored performance data on the host, and delete what there is.',
    role: '_local_root_',
    self: 'host',
    async: true,
    poolInternal: true,
    hidden: true,
  },
  enable_external_auth: {
    doc: 'Join one host to a directory.',
    role: 'pool-admin',
    self: 'host',
    params: {
      config: [confidential(stringMap), 'Settings such as the account that may join hosts.'],
      service_name: [string, 'Directory, such as a domain name.'],
      auth_type: [string, 'Kind of directory, such as `AD`.'],
    },
  },
  disable_external_auth: {
    doc: 'Take one host out of its directory.',
    role: 'pool-admin',
    self: 'host',
    params: {
      config: [
        confidential(stringMap),
        'Account with which it leaves, if it is to be removed there.',
        new Map(),
      ],
      force: [bool, 'True to leave here even if the directory cannot be told.', false],
    },
  },
  external_auth_set_ldaps: {
    doc: 'Choose for one host whether the directory is spoken to by TLS.',
    role: 'pool-admin',
    self: 'host',
    params: {
      ldaps: [bool, 'True for TLS.'],
      force: [bool, 'True to switch although a test connection fails.', false],
    },
  },
  retrieve_wlb_evacuate_recommendations: {
    doc: 'Where the workload balancing server would move each VM to empty the host.',
    role: 'read-only',
    self: 'self',
    result: map(ref('VM'), set(string)),
    async: true,
  },
} as const satisfies Messages;
