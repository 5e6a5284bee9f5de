import type { Messages } from '../../../src/model/class.ts';
import { bool, confidential, int, map, ref, set, string, stringMap } from '../../../src/model/types.ts';

/** Services outside the pool: directories of users and workload balancing. */
export const directory = {
  enable_external_auth: {
    doc: 'Join all hosts to a directory, so that its users can log in.',
    role: 'pool-admin',
    self: 'pool',
    params: {
      config: [confidential(stringMap), 'Settings such as the account that may join hosts.'],
      service_name: [string, 'Directory, such as a domain name.'],
      auth_type: [string, 'Kind of directory, such as `AD`.'],
    },
  },
  disable_external_auth: {
    doc: 'Take all hosts out of the directory.',
    role: 'pool-admin',
    self: 'pool',
    params: {
      config: [
        confidential(stringMap),
        'Account with which the hosts leave, if they are to be removed there.',
        new Map(),
      ],
    },
  },
  external_auth_set_ldaps: {
    doc: 'Choose whether the directory is spoken to by TLS.',
    role: 'pool-admin',
    self: 'pool',
    params: {
      ldaps: [bool, 'True for TLS.'],
      force: [bool, 'True to switch although a test connection fails.', false],
    },
  },
  detect_nonhomogeneous_external_auth: {
    doc: 'Check that all hosts use the same directory, and leave a message if not.',
    role: 'pool-operator',
    self: 'pool',
  },
  initialize_wlb: {
    doc: 'Register the pool with a workload balancing server.',
    role: 'pool-operator',
    params: {
      wlb_url: [string, 'Address and port of that server.'],
      wlb_username: [string, 'Account on that server.'],
      wlb_password: [confidential(string), 'Password of that account.'],
      xenserver_username: [string, 'Account by which that server logs in here.'],
      xenserver_password: [confidential(string), 'Password of that account here.'],
    },
    async: true,
  },
  deconfigure_wlb: {
    doc: 'Forget the workload balancing server.',
    role: 'pool-operator',
    async: true,
  },
  send_wlb_configuration: {
    doc: "Change the pool's settings on the workload balancing server.",
    role: 'pool-operator',
    params: { config: [stringMap, 'Settings to change.'] },
    async: true,
  },
  retrieve_wlb_configuration: {
    doc: 'Settings of the pool on the workload balancing server.',
    role: 'read-only',
    result: stringMap,
    async: true,
  },
  retrieve_wlb_recommendations: {
    doc: 'Moves that the workload balancing server recommends now, by VM.',
    role: 'read-only',
    result: map(ref('VM'), set(string)),
    async: true,
  },
  send_test_post: {
    doc: 'Send an HTTPS POST from the coordinator and answer the reply, to test a way out.',
    role: 'pool-admin',
    params: {
      host: [string, 'Name or address to connect to.'],
      port: [int, 'TCP port.'],
      body: [string, 'Text to send.'],
    },
    result: string,
    async: true,
  },
} as const satisfies Messages;
