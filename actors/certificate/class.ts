import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { datetime, epoch, nullRef, oneOf, ref, set, string } from '../../src/model/types.ts';
import { certificatePurpose } from '../enums.ts';
import { since } from './since.ts';

export const certificateType = oneOf('certificate_type', ['ca', 'host', 'host_internal', 'pinned']);

export const Certificate = defineClass('Certificate', {
  doc: 'A TLS certificate that is installed on a host or trusted by the pool.',
  since,
  writeRole: 'read-only',
  fields: {
    uuid: dyn(string, 'Identity of the entry.'),
    name: dyn(string, 'Name under which a trusted certificate was installed; empty for one of a host.', {
      default: '',
    }),
    type: dyn(
      certificateType,
      'Whether it is shown by a host to clients or to other hosts, or is one that hosts trust.',
      { default: 'host' },
    ),
    host: ro(ref('host'), 'Host that it belongs to; null if all hosts trust it.', {
      default: nullRef,
      inverse: 'host.certificates',
      gone: 'goes too',
    }),
    not_before: ro(datetime, 'When it begins to be valid, in UTC.', { default: epoch }),
    not_after: ro(datetime, 'When it ceases to be valid, in UTC.', { default: epoch }),
    fingerprint: ro(string, 'SHA-256 digest of it, for older clients; equal to `fingerprint_sha256`.', {
      default: '',
    }),
    fingerprint_sha256: ro(
      string,
      'SHA-256 digest of it, in pairs of hexadecimal digits with colons between.',
      { default: '' },
    ),
    fingerprint_sha1: ro(string, 'SHA-1 digest of it, in pairs of hexadecimal digits with colons between.', {
      default: '',
    }),
    purpose: ro(set(certificatePurpose), 'What a trusted certificate is trusted for; empty for everything.', {
      default: [],
    }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Certificate: typeof Certificate;
  }
}
