import { dyn, ro, rw } from '../../src/model/class.ts';
import {
  bool,
  datetime,
  epoch,
  int,
  label,
  map,
  nullRef,
  ref,
  set,
  string,
  stringMap,
  upTo,
} from '../../src/model/types.ts';
import { poolAllowedOperations, telemetryFrequency, updateSyncFrequency } from './enums.ts';

export const fields = {
  uuid: dyn(string, 'Names the pool for good.'),
  name_label: rw(label, 'Name for people; empty is common for a pool of one host.'),
  name_description: rw(string, 'Longer text for people.'),
  master: dyn(ref('host'), 'Coordinator: the host that answers the API for the whole pool.', {
    gone: 'stays',
  }),
  default_SR: rw(ref('SR'), 'Where new disks go unless a client says otherwise; may be null.', {
    gone: 'cleared',
  }),
  suspend_image_SR: rw(
    ref('SR'),
    'Where the memory of suspended VMs goes unless the VM or its host says otherwise.',
    { gone: 'cleared' },
  ),
  crash_dump_SR: rw(ref('SR'), 'Where crash dumps of VMs go.', { gone: 'cleared' }),
  other_config: rw(stringMap, 'Free for clients; some keys change how the pool behaves.', {
    keyRoles: {
      folder: 'vm-operator',
      'XenCenter.CustomFields.*': 'vm-operator',
      EMPTY_FOLDERS: 'vm-operator',
    },
  }),
  ha_enabled: dyn(bool, 'True while hosts watch each other and restart protected VMs.', { default: false }),
  ha_configuration: dyn(stringMap, 'Timeouts of High Availability as they were given when it was enabled.', {
    default: new Map(),
  }),
  ha_statefiles: dyn(
    set(string),
    'Disks through which hosts watch each other, while High Availability is enabled.',
    { default: [] },
  ),
  ha_host_failures_to_tolerate: dyn(int, 'How many hosts may fail with every protected VM still restarted.', {
    default: 0n,
  }),
  ha_plan_exists_for: dyn(int, 'How many host failures the pool could survive right now.', { default: 0n }),
  ha_allow_overcommit: rw(
    bool,
    'True lets VMs start although the failures to tolerate could then not be survived.',
    { default: false },
  ),
  ha_overcommitted: dyn(bool, 'True if the pool could not survive the failures it is meant to tolerate.', {
    default: false,
  }),
  blobs: dyn(map(string, ref('blob')), 'Binary data kept with the pool, by name.', {
    default: new Map(),
    gone: 'cleared',
  }),
  tags: rw(set(string), 'Words for searching and grouping, set by users.', {
    default: [],
    writeRole: 'vm-operator',
  }),
  gui_config: rw(stringMap, 'Settings that graphical clients share among users.', {
    default: new Map(),
    writeRole: 'vm-operator',
  }),
  health_check_config: rw(stringMap, 'Settings of the client that uploads health reports.', {
    default: new Map(),
  }),
  wlb_url: dyn(string, 'Address of the workload balancing server, empty without one.', { default: '' }),
  wlb_username: dyn(string, 'Account on the workload balancing server.', { default: '' }),
  wlb_password: dyn(ref('secret'), 'Password of that account.', { internal: true, gone: 'cleared' }),
  wlb_enabled: rw(bool, 'True if the workload balancing server is asked where VMs should run.', {
    default: false,
    certificate: true,
  }),
  wlb_verify_cert: rw(bool, 'True if the certificate of the workload balancing server is checked.', {
    default: false,
  }),
  redo_log_enabled: dyn(bool, 'True if each change of the database also goes to a shared disk at once.', {
    default: false,
  }),
  redo_log_vdi: dyn(ref('VDI'), 'Disk that holds these changes; null while there is none.', {
    default: nullRef,
    gone: 'cleared',
  }),
  vswitch_controller: dyn(
    string,
    'Address of the OpenFlow controller. Superseded by the class SDN_controller.',
    { default: '' },
  ),
  restrictions: dyn(stringMap, 'What the licences of all hosts together allow, one key for each feature.', {
    default: new Map(),
  }),
  metadata_VDIs: dyn(
    set(ref('VDI')),
    "Disks on which copies of this pool's database were found or are kept.",
    { inverse: 'VDI.metadata_of_pool', computed: true },
  ),
  ha_cluster_stack: dyn(string, 'Software by which the hosts watch each other, such as `xhad`.', {
    default: '',
  }),
  allowed_operations: dyn(set(poolAllowedOperations), 'What can be done to the pool now.', {
    default: [],
    persist: false,
  }),
  current_operations: dyn(
    map(string, poolAllowedOperations),
    'Tasks that work on the pool now, and what each does.',
    { default: new Map(), persist: false },
  ),
  guest_agent_config: dyn(stringMap, 'Settings passed to the agents inside all VMs.', { default: new Map() }),
  cpu_info: dyn(stringMap, 'Processors of the pool, with the features that every host has in common.', {
    default: new Map(),
  }),
  policy_no_vendor_device: rw(
    bool,
    'True: new VMs do not get the device that brings Windows drivers by Windows Update.',
    { default: false },
  ),
  live_patching_disabled: rw(bool, 'True: updates are never patched into a running hypervisor or kernel.', {
    default: false,
  }),
  igmp_snooping_enabled: dyn(bool, 'True: multicast goes only to ports that asked for it, on all bridges.', {
    default: false,
  }),
  uefi_certificates: ro(upTo(string, 524_288), 'Secure Boot keys in use, a base64 tar archive.', {
    default: '',
  }),
  custom_uefi_certificates: ro(
    string,
    'Secure Boot keys that replace the ones shipped with the hosts, base64; empty for none.',
    { default: '' },
  ),
  is_psr_pending: rw(bool, 'True: a change of the pool secret was begun and must be finished.', {
    default: false,
  }),
  tls_verification_enabled: dyn(bool, 'True: hosts check certificates when they connect to each other.', {
    default: false,
  }),
  repositories: dyn(set(ref('Repository')), 'Update repositories in use.', { default: [], gone: 'cleared' }),
  client_certificate_auth_enabled: dyn(
    bool,
    'True: clients may log in by a TLS certificate instead of a password.',
    { default: false },
  ),
  client_certificate_auth_name: dyn(string, "Name a client's certificate must carry to be accepted.", {
    default: '',
  }),
  repository_proxy_url: dyn(string, 'Proxy through which update repositories are reached, empty for none.', {
    default: '',
  }),
  repository_proxy_username: dyn(string, 'Account on that proxy, empty if it asks for none.', {
    default: '',
  }),
  repository_proxy_password: dyn(ref('secret'), 'Password of the account on that proxy.', {
    default: nullRef,
    gone: 'cleared',
  }),
  migration_compression: rw(bool, 'True: VMs travel compressed unless a migration asks otherwise.', {
    default: false,
  }),
  coordinator_bias: rw(bool, 'True: VMs avoid the coordinator as long as another host has room.', {
    default: true,
  }),
  local_auth_max_threads: ro(int, 'How many logins of the local account are checked at the same time.', {
    default: 8n,
  }),
  ext_auth_max_threads: ro(int, 'How many logins of directory users are checked at the same time.', {
    default: 1n,
  }),
  ext_auth_cache_enabled: dyn(bool, 'True: proven logins of directory users are remembered for a while.', {
    default: true,
  }),
  ext_auth_cache_size: dyn(int, 'How many of these logins are remembered.', { default: 50n }),
  ext_auth_cache_expiry: dyn(int, 'Seconds for which such a login is remembered.', { default: 300n }),
  telemetry_uuid: dyn(ref('secret'), 'Random name under which usage figures are reported.', {
    default: nullRef,
    gone: 'cleared',
  }),
  telemetry_frequency: dyn(telemetryFrequency, 'How often usage figures are collected.', {
    default: 'weekly',
  }),
  telemetry_next_collection: dyn(datetime, 'Earliest time of the next collection.', { default: epoch }),
  last_update_sync: dyn(datetime, 'When updates were last fetched from the repositories; 1970 for never.', {
    default: epoch,
  }),
  update_sync_frequency: dyn(updateSyncFrequency, 'How often updates are fetched by themselves.', {
    default: 'weekly',
  }),
  update_sync_day: dyn(int, 'Day of a weekly fetch, 0 for Sunday to 6; 0 when it is daily.', { default: 0n }),
  update_sync_enabled: dyn(bool, 'True: updates are fetched by themselves at these times.', {
    default: false,
  }),
  recommendations: dyn(stringMap, 'Recommended limits and settings that came with the updates.', {
    default: new Map(),
  }),
  license_server: rw(stringMap, 'Address and port of the licence server for the whole pool.', {
    default: new Map(),
  }),
  ha_reboot_vm_on_internal_shutdown: rw(
    bool,
    'True: a protected VM that shuts itself down is started again.',
    { default: true },
  ),
  limit_console_sessions: rw(bool, 'True: each VM console has room for one viewer at a time.', {
    default: false,
  }),
  vm_console_idle_timeout: rw(int, 'Seconds until an idle VM console is closed; 0 for never.', {
    default: 0n,
  }),
  auto_update_vm_secureboot_certificates: rw(
    bool,
    'True: VMs get renewed Secure Boot keys when they start.',
    { default: false },
  ),
};
