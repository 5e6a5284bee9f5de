import type { Messages } from '../../../src/model/class.ts';
import { bool, label, set, string } from '../../../src/model/types.ts';

/** Whom the hosts trust. */
export const certificates = {
  certificate_install: {
    doc: 'Trust a certificate authority. Superseded by `install_ca_certificate`.',
    role: 'pool-operator',
    params: { name: [label, 'File name to keep it under.'], cert: [string, 'Certificate, PEM.'] },
    async: true,
  },
  certificate_uninstall: {
    doc: 'No longer trust an authority. Superseded by `uninstall_ca_certificate`.',
    role: 'pool-operator',
    params: { name: [label, 'File name it was installed under.'] },
    async: true,
  },
  certificate_list: {
    doc: 'Names of the trusted authorities. Superseded by the class Certificate.',
    role: 'pool-operator',
    result: set(string),
    async: true,
  },
  install_ca_certificate: {
    doc: 'Trust a certificate authority on all hosts.',
    role: 'pool-operator',
    certificate: true,
    params: { name: [label, 'File name to keep it under.'], cert: [string, 'Certificate, PEM.'] },
    async: true,
  },
  uninstall_ca_certificate: {
    doc: 'No longer trust an authority on any host.',
    role: 'pool-operator',
    certificate: true,
    params: {
      name: [label, 'File name it was installed under.'],
      force: [bool, 'True to forget it although its file is missing or broken.', false],
    },
    async: true,
  },
  crl_install: {
    doc: 'Refuse the certificates that a revocation list names, on all hosts.',
    role: 'pool-operator',
    params: { name: [label, 'File name to keep it under.'], cert: [string, 'Revocation list, PEM.'] },
    async: true,
  },
  crl_uninstall: {
    doc: 'Forget a revocation list.',
    role: 'pool-operator',
    params: { name: [label, 'File name it was installed under.'] },
    async: true,
  },
  crl_list: {
    doc: 'Names of the revocation lists in use.',
    role: 'pool-operator',
    result: set(string),
    async: true,
  },
  certificate_sync: {
    doc: 'Copy trusted authorities and revocation lists from the coordinator to all hosts.',
    role: 'pool-operator',
    async: true,
  },
  enable_tls_verification: {
    doc: 'From now on hosts check certificates when they connect to each other; it is not undone.',
    role: 'pool-admin',
  },
} as const satisfies Messages;
