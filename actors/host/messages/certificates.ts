import type { Messages } from '../../../src/model/class.ts';
import { bool, confidential, label, set, string, upTo } from '../../../src/model/types.ts';

const revocationList = upTo(string, 2_097_152);

/** Whom the host trusts, and how it proves itself. */
export const certificates = {
  install_ca_certificate: {
    doc: 'Trust a certificate authority on one host.',
    role: '_local_root_',
    self: 'host',
    params: { name: [label, 'File name to keep it under.'], cert: [string, 'Certificate, PEM.'] },
    async: true,
    poolInternal: true,
    hidden: true,
  },
  uninstall_ca_certificate: {
    doc: 'No longer trust an authority on one host.',
    role: '_local_root_',
    self: 'host',
    params: {
      name: [label, 'File name it was installed under.'],
      force: [bool, 'True to forget it although its file is missing or broken.', false],
    },
    async: true,
    poolInternal: true,
    hidden: true,
  },
  certificate_list: {
    doc: 'File names of the authorities that one host trusts.',
    role: '_local_root_',
    self: 'host',
    result: set(string),
    async: true,
    poolInternal: true,
    hidden: true,
  },
  crl_install: {
    doc: 'Install a revocation list on one host.',
    role: '_local_root_',
    self: 'host',
    params: { name: [label, 'File name to keep it under.'], crl: [revocationList, 'Revocation list, PEM.'] },
    async: true,
    poolInternal: true,
    hidden: true,
  },
  crl_uninstall: {
    doc: 'Forget a revocation list on one host.',
    role: '_local_root_',
    self: 'host',
    params: { name: [label, 'File name it was installed under.'] },
    async: true,
    poolInternal: true,
    hidden: true,
  },
  crl_list: {
    doc: 'File names of the revocation lists of one host.',
    role: '_local_root_',
    self: 'host',
    result: set(string),
    async: true,
    poolInternal: true,
    hidden: true,
  },
  certificate_sync: {
    doc: 'Make a host use the trusted certificates and revocation lists it has now.',
    role: '_local_root_',
    self: 'host',
    async: true,
    poolInternal: true,
    hidden: true,
  },
  get_server_certificate: {
    doc: 'Certificate by which the host proves itself to clients, PEM.',
    role: 'read-only',
    self: 'host',
    result: string,
    async: true,
  },
  refresh_server_certificate: {
    doc: 'Replace the certificate by which the host proves itself to other hosts.',
    role: 'pool-admin',
    self: 'host',
    async: true,
  },
  install_server_certificate: {
    doc: 'Give the host a certificate for its clients; its API restarts with it.',
    role: 'pool-admin',
    self: 'host',
    params: {
      certificate: [string, 'Certificate, PEM.'],
      private_key: [confidential(string), 'Its private key, PEM, without a passphrase.'],
      certificate_chain: [string, 'Certificates up to the authority, PEM; empty for none.', ''],
    },
    async: true,
  },
  emergency_reset_server_certificate: {
    doc: 'Make a new self-signed certificate for this host, even while its pool is out of reach.',
    role: '_local_root_',
    emergency: true,
    onMember: true,
  },
  reset_server_certificate: {
    doc: 'Replace the certificate for clients by a new self-signed one.',
    role: 'pool-admin',
    self: 'host',
    async: true,
  },
} as const satisfies Messages;
