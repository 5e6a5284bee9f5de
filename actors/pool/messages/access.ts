import type { Messages } from '../../../src/model/class.ts';
import { bool, int, map, ref, set, string, stringMap } from '../../../src/model/types.ts';
import { certificatePurpose } from '../../enums.ts';

/** SSH, consoles and trusted certificates. */
export const access = {
  enable_ssh: {
    doc: 'Let administrators log in to all hosts by SSH.',
    role: 'pool-admin',
    self: 'self',
    async: true,
  },
  disable_ssh: {
    doc: 'Close SSH on all hosts.',
    role: 'pool-admin',
    self: 'self',
    async: true,
  },
  set_ssh_enabled_timeout: {
    doc: 'Have SSH close by itself some time after it was opened, on all hosts.',
    role: 'pool-admin',
    self: 'self',
    params: { value: [int, 'Seconds; 0 keeps it open.'] },
    async: true,
  },
  set_console_idle_timeout: {
    doc: 'End idle shells on the consoles of all hosts.',
    role: 'pool-admin',
    self: 'self',
    params: { value: [int, 'Seconds; 0 never ends them.'] },
    async: true,
  },
  set_ssh_auto_mode: {
    doc: 'Have hosts open SSH by themselves while their toolstack is down.',
    role: 'pool-admin',
    self: 'self',
    params: { value: [bool, 'True to do so.'] },
    async: true,
  },
  install_trusted_certificate: {
    doc: 'Trust a certificate on all hosts, for given purposes.',
    role: 'pool-operator',
    certificate: true,
    self: 'self',
    params: {
      ca: [bool, 'True for an authority, false for the certificate of one server.'],
      cert: [string, 'Certificate, PEM.'],
      purpose: [set(certificatePurpose), 'What it is trusted for; empty for everything.'],
    },
    async: true,
  },
  uninstall_trusted_certificate: {
    doc: 'No longer trust a certificate on any host.',
    role: 'pool-operator',
    certificate: true,
    self: 'self',
    params: { certificate: [ref('Certificate'), 'Certificate that was installed so.'] },
    async: true,
  },
  sync_trusted_certificates_from: {
    doc: 'Take over certificates that another pool trusts.',
    role: 'pool-operator',
    certificate: true,
    self: 'self',
    params: {
      remote_pool: [string, 'Address of the other pool.'],
      remote_session: [ref('session'), 'Session logged in there.'],
      remote_certificate: [string, 'Certificate by which the other pool is known, PEM.'],
      ca: [bool, 'True to take over authorities, false for certificates of single servers.'],
    },
    result: set(ref('Certificate')),
    async: true,
  },
  exchange_trusted_certificates_on_join: {
    doc: 'Swap trusted certificates between the pool and a joining host.',
    role: 'pool-operator',
    certificate: true,
    self: 'self',
    params: {
      ca: [bool, 'True for authorities, false for certificates of single servers.'],
      import: [map(string, set(string)), 'Certificates of the joining host, with purposes.'],
      export: [set(ref('Certificate')), 'Certificates of the pool to hand out.'],
    },
    result: map(string, set(string)),
    async: true,
    hidden: true,
  },
  exchange_crls_on_join: {
    doc: 'Swap revocation lists between the pool and a joining host.',
    role: 'pool-operator',
    certificate: true,
    self: 'self',
    params: {
      import: [stringMap, 'Lists of the joining host by name.'],
      export: [set(string), "Names of the pool's lists to hand out."],
    },
    result: stringMap,
    async: true,
    hidden: true,
  },
} as const satisfies Messages;
