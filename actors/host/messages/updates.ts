import type { Messages } from '../../../src/model/class.ts';
import { bool, set, string } from '../../../src/model/types.ts';

/** Updates, drivers and certificates of other hosts. */
export const updates = {
  cert_distrib_atom: {
    doc: 'One step in distributing certificates among hosts.',
    role: '_local_root_',
    self: 'host',
    params: { command: [string, 'Step and its arguments, as JSON.'] },
    result: string,
    async: true,
    poolInternal: true,
    hidden: true,
  },
  apply_updates: {
    doc: 'Install the updates that were fetched; answers warnings, as faults.',
    role: 'pool-operator',
    certificate: true,
    self: 'self',
    params: {
      hash: [string, 'Hash that `pool.sync_updates` answered, so that nothing else gets installed.'],
    },
    result: set(set(string)),
    async: true,
  },
  rescan_drivers: {
    doc: 'Look again at which drivers the host has, and in which variants.',
    role: 'pool-admin',
    self: 'self',
    async: true,
  },
  copy_primary_host_certs: {
    doc: 'Have a host copy the certificates of all hosts from the coordinator.',
    role: 'pool-admin',
    self: 'host',
    async: true,
    poolInternal: true,
    hidden: true,
  },
  set_https_only: {
    doc: 'Close or open the plain HTTP port of the host.',
    role: 'pool-operator',
    self: 'self',
    params: { value: [bool, 'True to close it.'] },
    async: true,
  },
  apply_recommended_guidances: {
    doc: 'Removed: carry out what `pending_guidances_recommended` lists.',
    role: 'pool-operator',
    self: 'self',
    async: true,
    removed: true,
  },
  emergency_clear_mandatory_guidance: {
    doc: 'Forget on this host what updates still demand, when it cannot be done.',
    role: '_local_root_',
    emergency: true,
    onMember: true,
  },
} as const satisfies Messages;
