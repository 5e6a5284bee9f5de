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
import { updateGuidances } from '../enums.ts';
import {
  hostAllowedOperations,
  hostDisplay,
  hostNtpMode,
  hostNumaAffinityPolicy,
  latestSyncedUpdatesAppliedState,
} from './enums.ts';

export const fields = {
  uuid: dyn(string, "Names the machine's installation for good."),
  name_label: rw(label, 'Name for people; it need not be unique.', { default: '', column: 'name__label' }),
  name_description: rw(string, 'Longer text for people.', { default: '', column: 'name__description' }),
  memory_overhead: dyn(int, 'Memory in bytes that the hypervisor keeps for itself.', {
    default: 0n,
    column: 'memory__overhead',
  }),
  allowed_operations: dyn(set(hostAllowedOperations), 'What can be done to the host now.', {
    default: [],
    persist: false,
  }),
  current_operations: dyn(
    map(string, hostAllowedOperations),
    'Tasks that work on the host now, and what each does.',
    { default: new Map(), persist: false },
  ),
  API_version_major: dyn(int, 'Major version of the XenAPI that the host speaks.', {
    column: 'API_version__major',
  }),
  API_version_minor: dyn(int, 'Minor version of the XenAPI that the host speaks.', {
    column: 'API_version__minor',
  }),
  API_version_vendor: dyn(string, 'Who made the implementation.', { column: 'API_version__vendor' }),
  API_version_vendor_implementation: dyn(stringMap, 'Versions of the implementation by part.', {
    column: 'API_version__vendor_implementation',
  }),
  enabled: dyn(bool, 'False keeps VMs from being started on the host or moved to it.'),
  software_version: ro(
    stringMap,
    'Versions of what is installed, by part; clients read `product_version` first.',
  ),
  other_config: rw(stringMap, 'Free for clients; some keys change how the host behaves.', {
    keyRoles: { folder: 'vm-operator', 'XenCenter.CustomFields.*': 'vm-operator' },
  }),
  capabilities: ro(set(string), 'Kinds of guests that the hypervisor can run, such as `hvm-3.0-x86_64`.'),
  cpu_configuration: dyn(stringMap, 'How many sockets, cores and threads there are.'),
  sched_policy: dyn(string, 'Scheduler of the hypervisor, such as `credit`.'),
  supported_bootloaders: dyn(set(string), 'Boot loaders for paravirtualised VMs.'),
  resident_VMs: dyn(set(ref('VM')), 'VMs that are on the host, the control domain among them.', {
    inverse: 'VM.resident_on',
    computed: true,
  }),
  logging: rw(stringMap, 'Where the host sends its log; `syslog_destination` names a remote server.'),
  PIFs: dyn(set(ref('PIF')), 'Network interfaces of the host.', { inverse: 'PIF.host', computed: true }),
  suspend_image_sr: rw(ref('SR'), 'Where the memory of VMs suspended here goes.', { gone: 'cleared' }),
  crash_dump_sr: rw(ref('SR'), 'Where crash dumps of VMs go that ran here.', { gone: 'cleared' }),
  crashdumps: dyn(set(ref('host_crashdump')), 'Crash dumps of the host itself.', {
    inverse: 'host_crashdump.host',
    computed: true,
  }),
  patches: dyn(set(ref('host_patch')), 'Patches of a past kind that are applied.', {
    inverse: 'host_patch.host',
    computed: true,
  }),
  updates: dyn(set(ref('pool_update')), 'Updates that are applied.', {
    inverse: 'pool_update.hosts',
    gone: 'cleared',
  }),
  PBDs: dyn(set(ref('PBD')), 'Connections of the host to its SRs.', { inverse: 'PBD.host', computed: true }),
  host_CPUs: dyn(set(ref('host_cpu')), 'One row for each logical processor.', {
    inverse: 'host_cpu.host',
    computed: true,
  }),
  cpu_info: dyn(stringMap, 'Processors with count, model and features; decides which VMs can move here.', {
    default: new Map(),
  }),
  hostname: rw(label, 'Name that the host calls itself on the network.'),
  address: rw(string, 'Where other hosts and clients reach the API.'),
  metrics: dyn(ref('host_metrics'), 'Row with memory and liveness.', { gone: 'cleared' }),
  license_params: dyn(stringMap, 'What the licence says and allows; `expiry` is its end.'),
  boot_free_mem: dyn(int, 'Memory in bytes that was free right after boot.', { internal: true }),
  ha_statefiles: dyn(
    set(string),
    'Disks through which the host watches others, while High Availability is enabled.',
    { default: [] },
  ),
  ha_network_peers: dyn(
    set(string),
    'Uuids of the hosts it can see by the network, while High Availability is enabled.',
    { default: [] },
  ),
  blobs: dyn(map(string, ref('blob')), 'Binary data kept with the host, by name.', {
    default: new Map(),
    gone: 'cleared',
  }),
  tags: rw(set(string), 'Words for searching and grouping, set by users.', {
    default: [],
    writeRole: 'vm-operator',
  }),
  external_auth_type: dyn(
    string,
    'Kind of directory that the host has joined, such as `AD`; empty for none.',
    { default: '' },
  ),
  external_auth_service_name: dyn(string, 'Directory that the host has joined, such as a domain name.', {
    default: '',
  }),
  external_auth_configuration: dyn(stringMap, 'How the host is joined to the directory, without passwords.', {
    default: new Map(),
  }),
  edition: dyn(string, 'Edition that is licensed.', { default: '' }),
  license_server: rw(stringMap, 'Address and port of the licence server.', {
    default: new Map([
      ['address', 'localhost'],
      ['port', '27000'],
    ]),
  }),
  bios_strings: dyn(stringMap, 'Maker, model and serial number as the firmware tells them.', {
    default: new Map(),
  }),
  power_on_mode: dyn(
    string,
    'How to switch the machine on from afar, such as `wake-on-lan`; empty for not at all.',
    { default: '' },
  ),
  power_on_config: dyn(stringMap, 'Settings for that way of switching on.', { default: new Map() }),
  local_cache_sr: ro(ref('SR'), 'Local SR that caches shared disks, null without one.', {
    default: nullRef,
    gone: 'cleared',
  }),
  chipset_info: dyn(
    stringMap,
    'What the chipset can do; `iommu` says whether devices can be passed through.',
    { default: new Map() },
  ),
  PCIs: dyn(set(ref('PCI')), "Devices on the host's PCI bus.", { inverse: 'PCI.host', computed: true }),
  PGPUs: dyn(set(ref('PGPU')), 'Graphics processors of the host.', { inverse: 'PGPU.host', computed: true }),
  PUSBs: dyn(set(ref('PUSB')), 'USB devices plugged into the host.', {
    inverse: 'PUSB.host',
    computed: true,
  }),
  ssl_legacy: ro(bool, 'Kept for old clients; legacy TLS modes are gone.', { default: true }),
  guest_VCPUs_params: rw(
    stringMap,
    'Defaults for VMs here, such as a `mask` of the processors they may use.',
    { default: new Map() },
  ),
  display: rw(hostDisplay, "Whether the host's own screen and graphics card belong to the control domain.", {
    default: 'enabled',
  }),
  virtual_hardware_platform_versions: dyn(
    set(int),
    'Versions of virtual hardware that VMs can ask for here.',
    { default: [0n] },
  ),
  guest_capabilities: dyn(
    map(string, int),
    'What the hypervisor here can do for guests, as its daemon says.',
    { default: new Map(), internal: true, ours: true },
  ),
  nbd_server: dyn(
    map(string, string),
    'Where the host serves disks over NBD: `port`, `cert` in PEM and the `subject` that it is for.',
    { default: new Map(), internal: true, ours: true },
  ),
  control_domain: dyn(ref('VM'), "VM that stands for the host's own system.", {
    default: nullRef,
    gone: 'cleared',
  }),
  updates_requiring_reboot: dyn(
    set(ref('pool_update')),
    'Updates that only take effect once the host restarts.',
    { gone: 'cleared' },
  ),
  features: dyn(set(ref('Feature')), 'Hardware features that can be switched on and off.', {
    inverse: 'Feature.host',
    computed: true,
  }),
  iscsi_iqn: ro(string, 'Name under which the host logs in to iSCSI storage.', { default: '' }),
  multipathing: ro(bool, 'True: storage is reached by all paths there are, not by one.', { default: false }),
  uefi_certificates: ro(upTo(string, 524_288), 'Secure Boot keys in use here, a base64 tar archive.', {
    default: '',
  }),
  certificates: dyn(set(ref('Certificate')), 'TLS certificates installed on the host.', {
    inverse: 'Certificate.host',
    computed: true,
  }),
  editions: dyn(set(string), 'Editions that could be applied.', { default: [] }),
  pending_guidances: dyn(set(updateGuidances), 'What must still be done here for updates to take effect.', {
    default: [],
  }),
  tls_verification_enabled: dyn(bool, 'True: the host checks certificates when it connects to others.', {
    default: false,
  }),
  last_software_update: dyn(datetime, "When the host's software was last changed.", { default: epoch }),
  https_only: dyn(bool, 'True: the plain HTTP port is closed.', { default: false }),
  recommended_guidances: dyn(
    set(updateGuidances),
    'What updates recommended to do, in the past form of guidances.',
    { default: [], internal: true },
  ),
  latest_synced_updates_applied: dyn(
    latestSyncedUpdatesAppliedState,
    'Whether all updates that were fetched last are applied.',
    { default: 'unknown' },
  ),
  numa_affinity_policy: dyn(
    hostNumaAffinityPolicy,
    'Whether VMs are kept on single NUMA nodes, or as the host decides by default.',
    { default: 'default_policy' },
  ),
  pending_guidances_recommended: dyn(
    set(updateGuidances),
    'What should still be done here to profit from updates.',
    { default: [] },
  ),
  pending_guidances_full: dyn(
    set(updateGuidances),
    'What would still have to be done here for every update to take effect.',
    { default: [] },
  ),
  last_update_hash: dyn(string, 'Hash of the set of updates that was applied last.', { default: '' }),
  ssh_enabled: dyn(bool, 'Whether administrators can log in by SSH now.', { default: true }),
  ssh_enabled_timeout: dyn(int, 'Seconds after which SSH closes by itself; 0 for never.', { default: 0n }),
  ssh_expiry: dyn(datetime, 'When SSH closes by itself; 1970 for never.', { default: epoch }),
  console_idle_timeout: dyn(int, 'Seconds after which an idle shell on the console ends; 0 for never.', {
    default: 0n,
  }),
  ssh_auto_mode: dyn(
    bool,
    'True: SSH opens by itself while the toolstack is down, and closes when it is up.',
    { default: false },
  ),
  max_cstate: dyn(
    string,
    'Deepest sleep allowed to processors, `C` state and sub-state; empty for no limit.',
    { default: '' },
  ),
  secure_boot: dyn(bool, 'Whether the host itself was booted with Secure Boot.', { default: false }),
  ntp_mode: dyn(
    hostNtpMode,
    "Where time servers come from: DHCP, a list of one's own, those shipped, or nowhere.",
    { default: 'Factory' },
  ),
  ntp_custom_servers: dyn(set(string), 'Time servers used in mode Custom.', { default: [] }),
  timezone: dyn(string, "Time zone of the host's own clock, such as `Europe/Paris`; the API stays in UTC.", {
    default: 'UTC',
  }),
};
