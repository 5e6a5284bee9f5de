import { Fault } from '../std/fault.ts';
import type { Api } from './command.ts';
import { type ApiRecord, type ApiRow, type Lookup, rowsOfClass, unlessRefused } from './lookup.ts';

interface Computing {
  readonly api: Api;
  readonly lookup: Lookup;
}

type Computed = (
  row: ApiRow,
  at: Computing,
) => Promise<string | readonly string[] | ReadonlyMap<string, string>>;

const unknown = '<unknown>';

/** What a call about the object itself answers. */
const asked =
  (method: string): Computed =>
  async ({ ref }, { api }) =>
    String(await unlessRefused(api.send(method, ref), unknown));

const refsAsked =
  (method: string, cls: string): Computed =>
  async ({ ref }, { api, lookup }) => {
    const refs: readonly string[] = await unlessRefused(api.send(method, ref), []);
    return (await uuidsOf(refs, cls, lookup)).join('; ');
  };

const uuidsOf = async (refs: readonly string[], cls: string, lookup: Lookup): Promise<readonly string[]> => {
  const uuids: string[] = [];
  for (const ref of refs) uuids.push(String((await lookup(cls, ref))?.['uuid'] ?? unknown));
  return uuids;
};

const listAsked =
  (method: string): Computed =>
  ({ ref }, { api }) =>
    unlessRefused(api.send(method, ref), []);

/** The value that all hosts have; nothing where they differ. */
const ofHosts =
  (field: string): Computed =>
  async (_, { api }) => {
    const values = new Set((await rowsOfClass(api, 'host')).map(({ record }) => String(record[field])));
    return values.size === 1 ? ([...values][0] as string) : '';
  };

const isYes = (record: ApiRecord | undefined, field: string): boolean => record?.[field] === true;

/** Where the disks of an SR are reached from. */
const hostOfSr: Computed = async ({ record }, { lookup }) => {
  const [first, ...others] = record['PBDs'] as readonly string[];
  if (first === undefined) return '<not in database>';
  if (others.length > 0 || isYes(record, 'shared')) return '<shared>';
  const host = await lookup('host', String((await lookup('PBD', first))?.['host']));
  return String(host?.['name_label'] ?? '<not in database>');
};

const attachable: Computed = async ({ ref }, { api }) => {
  try {
    await api.send('VBD.assert_attachable', ref);
    return 'true';
  } catch (error) {
    if (error instanceof Fault) return `false (error: ${error.message})`;
    throw error;
  }
};

const namesOf = async (
  refs: unknown,
  cls: string,
  field: string,
  lookup: Lookup,
): Promise<readonly string[]> => {
  const names: string[] = [];
  for (const ref of refs as readonly string[])
    names.push(String((await lookup(cls, ref))?.[field] ?? unknown));
  return names;
};

const dataSource =
  (name: (record: ApiRecord) => string, owner: string, cls: string): Computed =>
  async ({ record }, { api }) => {
    const value = await unlessRefused(api.send(`${cls}.query_data_source`, record[owner], name(record)), 0);
    return Number(value).toFixed(3);
  };

const isVariant =
  (field: string): Computed =>
  async ({ ref, record }, { lookup }) =>
    String((await lookup('Host_driver', String(record['driver'])))?.[field] === ref);

/** Fields that no row has, or that are more than it says, by the class of the command line and the field. */
export const computed: Readonly<Record<string, Computed>> = {
  'pool.supported-sr-types': async (_, { api }) =>
    ((await api.send('SR.get_supported_types')) as string[]).join('; '),
  'pool.license-state': async ({ ref }, { api }) => {
    const state: ReadonlyMap<string, string> = await unlessRefused(
      api.send('pool.get_license_state', ref),
      new Map(),
    );
    return [...state].map(([key, value]) => `${key}: ${value}`).join('; ');
  },
  'pool.https-only': ofHosts('https_only'),
  'pool.ssh-enabled': ofHosts('ssh_enabled'),
  'pool.ssh-enabled-timeout': ofHosts('ssh_enabled_timeout'),
  'pool.ssh-expiry': ofHosts('ssh_expiry'),
  'pool.console-idle-timeout': ofHosts('console_idle_timeout'),
  'pool.ssh-auto-mode': ofHosts('ssh_auto_mode'),
  'pif.io_read_kbs': dataSource(({ device }) => `pif_${device}_rx`, 'host', 'host'),
  'pif.io_write_kbs': dataSource(({ device }) => `pif_${device}_tx`, 'host', 'host'),
  'pif.duplex': async ({ record }, { lookup }) => {
    const metrics = await lookup('PIF_metrics', String(record['metrics']));
    if (!isYes(metrics, 'carrier')) return 'unknown';
    return isYes(metrics, 'duplex') ? 'full' : 'half';
  },
  'vif.io_read_kbs': dataSource(({ device }) => `vif_${device}_rx`, 'VM', 'VM'),
  'vif.io_write_kbs': dataSource(({ device }) => `vif_${device}_tx`, 'VM', 'VM'),
  'vbd.io_read_kbs': dataSource(({ device }) => `vbd_${device}_read`, 'VM', 'VM'),
  'vbd.io_write_kbs': dataSource(({ device }) => `vbd_${device}_write`, 'VM', 'VM'),
  'vbd.vdi-name-label': async ({ record }, { lookup }) => {
    if (isYes(record, 'empty')) return '<EMPTY>';
    return String((await lookup('VDI', String(record['VDI'])))?.['name_label'] ?? '<not in database>');
  },
  'vbd.attachable': attachable,
  'vm.allowed-VBD-devices': listAsked('VM.get_allowed_VBD_devices'),
  'vm.allowed-VIF-devices': listAsked('VM.get_allowed_VIF_devices'),
  'vm.possible-hosts': refsAsked('VM.get_possible_hosts', 'host'),
  'vm.VCPUs-utilisation': async () => new Map(),
  'vm.cooperative': asked('VM.get_cooperative'),
  'host.memory-free-computed': asked('host.compute_free_memory'),
  'host.patches': async () => [],
  'host-cpu.utilisation': async () => '0.000',
  'patch.hosts': async () => [],
  'sr.host': hostOfSr,
  'subject.roles': ({ record }, { lookup }) => namesOf(record['roles'], 'role', 'name_label', lookup),
  'pgpu.dependencies': async ({ record }, { lookup }) =>
    namesOf((await lookup('PCI', String(record['PCI'])))?.['dependencies'] ?? [], 'PCI', 'pci_id', lookup),
  'pci.dependencies': ({ record }, { lookup }) => namesOf(record['dependencies'], 'PCI', 'pci_id', lookup),
  'gpu-group.enabled-VGPU-types': refsAsked('GPU_group.get_enabled_VGPU_types', 'VGPU_type'),
  'gpu-group.supported-VGPU-types': refsAsked('GPU_group.get_supported_VGPU_types', 'VGPU_type'),
  'vgpu-type.max-resolution': async ({ record }) =>
    `${record['max_resolution_x']}x${record['max_resolution_y']}`,
  'network-sriov.remaining-capacity': asked('network_sriov.get_remaining_capacity'),
  'hostdriver-variant.active': isVariant('active_variant'),
  'hostdriver-variant.selected': isVariant('selected_variant'),
  'hostdriver.variants': async ({ record }, { lookup }) =>
    (await namesOf(record['variants'], 'Driver_variant', 'name', lookup)).join('; '),
  'hostdriver.variants-uuid': async ({ record }, { lookup }) =>
    (await namesOf(record['variants'], 'Driver_variant', 'uuid', lookup)).join('; '),
  'vtpm.secret': async () => '<undisclosed>',
};
