import type { Messages } from '../../../src/model/class.ts';
import { confidential, string, upTo } from '../../../src/model/types.ts';
import { hostNumaAffinityPolicy, hostSchedGran } from '../enums.ts';

/** Secure Boot keys, the change of the pool secret, and how processors are shared out. */
export const secrets = {
  write_uefi_certificates_to_disk: {
    doc: "Put the pool's Secure Boot keys where VMs of the host find them.",
    role: '_local_root_',
    self: 'host',
    async: true,
    poolInternal: true,
    hidden: true,
  },
  set_uefi_certificates: {
    doc: 'Record the Secure Boot keys of one host.',
    role: '_local_root_',
    self: 'host',
    params: { value: [upTo(string, 524_288), 'Base64 tar archive of keys.'] },
    async: true,
  },
  notify_accept_new_pool_secret: {
    doc: 'Have a host accept a new pool secret beside the old one.',
    role: '_local_root_',
    self: 'host',
    params: {
      old_ps: [confidential(string), 'Secret until now.'],
      new_ps: [confidential(string), 'Secret to come.'],
    },
    async: true,
    hidden: true,
  },
  notify_send_new_pool_secret: {
    doc: 'Have a host use the new pool secret when it calls others.',
    role: '_local_root_',
    self: 'host',
    params: {
      old_ps: [confidential(string), 'Secret until now.'],
      new_ps: [confidential(string), 'Secret to come.'],
    },
    async: true,
    hidden: true,
  },
  cleanup_pool_secret: {
    doc: 'Have a host refuse the old pool secret.',
    role: '_local_root_',
    self: 'host',
    params: {
      old_ps: [confidential(string), 'Secret no longer valid.'],
      new_ps: [confidential(string), 'Secret from now on.'],
    },
    async: true,
    hidden: true,
  },
  set_sched_gran: {
    doc: 'Choose what the hypervisor gives to one VM at a time, from the next restart.',
    role: '_local_root_',
    self: 'self',
    params: { value: [hostSchedGran, 'A logical processor, a core or a socket.'] },
    async: true,
  },
  get_sched_gran: {
    doc: 'What the hypervisor gives to one VM at a time.',
    role: '_local_root_',
    self: 'self',
    result: hostSchedGran,
    async: true,
  },
  set_numa_affinity_policy: {
    doc: 'Choose whether VMs that start from now on are kept on single NUMA nodes.',
    role: 'pool-admin',
    self: 'self',
    params: { value: [hostNumaAffinityPolicy, 'Policy to use.'] },
    async: true,
  },
  emergency_disable_tls_verification: {
    doc: 'Have this host connect to others without checks, to repair broken certificates.',
    role: '_local_root_',
    emergency: true,
    onMember: true,
  },
  emergency_reenable_tls_verification: {
    doc: 'Have this host check certificates again, after a repair.',
    role: '_local_root_',
    emergency: true,
    onMember: true,
  },
} as const satisfies Messages;
