import type { Messages } from '../../../src/model/class.ts';
import { bool, label, ref, string, stringMap } from '../../../src/model/types.ts';

/** Settings that hold for all hosts. */
export const settings = {
  enable_redo_log: {
    doc: 'Write each change of the database to a shared disk at once, against loss of the coordinator.',
    role: 'pool-operator',
    params: { sr: [ref('SR'), 'Shared SR on which the disk is made.'] },
    async: true,
  },
  disable_redo_log: {
    doc: 'Stop writing changes to the shared disk, and delete it unless High Availability needs it.',
    role: 'pool-operator',
    async: true,
  },
  audit_log_append: {
    doc: "Add a line to the coordinator's audit log.",
    role: 'pool-admin',
    params: { line: [string, 'Line to add.'] },
    async: true,
    poolInternal: true,
    hidden: true,
  },
  set_vswitch_controller: {
    doc: 'Set the OpenFlow controller. Superseded by `SDN_controller.introduce`.',
    role: 'pool-operator',
    params: { address: [string, 'IP address, empty for none.'] },
    async: true,
  },
  test_archive_target: {
    doc: 'Check that an archive place could be used; belongs to a removed feature.',
    role: 'pool-operator',
    self: 'self',
    params: { config: [stringMap, 'Settings of the place.'] },
    result: string,
  },
  enable_local_storage_caching: {
    doc: 'Let hosts cache shared disks on their local storage, wherever they can.',
    role: 'pool-operator',
    self: 'self',
    async: true,
  },
  disable_local_storage_caching: {
    doc: 'Stop caching shared disks on local storage, on all hosts.',
    role: 'pool-operator',
    self: 'self',
    async: true,
  },
  get_license_state: {
    doc: 'Edition of the pool and when its licence ends, `never` if it does not.',
    role: 'read-only',
    self: 'self',
    result: stringMap,
    async: true,
  },
  apply_edition: {
    doc: 'Set the edition on all hosts; if one fails, all keep what they had.',
    role: 'pool-operator',
    self: 'self',
    params: { edition: [label, 'Edition, one of `host.editions`.'] },
    async: true,
  },
  enable_ssl_legacy: {
    doc: 'Removed: hosts no longer speak legacy TLS.',
    role: 'pool-operator',
    self: 'self',
    async: true,
    removed: true,
  },
  disable_ssl_legacy: {
    doc: 'Accepted for old clients; hosts have no legacy TLS modes to switch off.',
    role: 'pool-operator',
    self: 'self',
    async: true,
  },
  set_igmp_snooping_enabled: {
    doc: 'Send multicast only where it was asked for, or everywhere, on all bridges.',
    role: 'pool-operator',
    self: 'self',
    params: { value: [bool, 'True to send it only where it was asked for.'] },
    async: true,
  },
  has_extension: {
    doc: 'Whether every host has an extension.',
    role: 'pool-admin',
    self: 'self',
    params: { name: [label, 'Name of the call that the extension adds.'] },
    result: bool,
    async: true,
  },
  add_to_guest_agent_config: {
    doc: 'Add one setting for agents inside VMs; a key that is already there is refused.',
    role: 'pool-admin',
    self: 'self',
    params: { key: [label, 'Setting, as the agent names it.'], value: [string, 'Its value.'] },
    async: true,
  },
  remove_from_guest_agent_config: {
    frees: true,
    doc: 'Remove one setting for agents inside VMs.',
    role: 'pool-admin',
    self: 'self',
    params: { key: [label, 'Setting, as the agent names it.'] },
    async: true,
  },
  rotate_secret: {
    doc: 'Replace the secret that all hosts share; all must be up.',
    role: 'pool-admin',
    errors: [
      'INTERNAL_ERROR',
      'HOST_IS_SLAVE',
      'CANNOT_CONTACT_HOST',
      'HA_IS_ENABLED',
      'NOT_SUPPORTED_DURING_UPGRADE',
    ],
    async: true,
  },
} as const satisfies Messages;
