import type { RecordNamed } from '../../../src/model/class.ts';
import { dateTimeOf, nullRef, type Ref } from '../../../src/model/types.ts';
import { type HostFacts, keepDisabled, type Processor } from '../../../src/objects/host-facts.ts';
import type { NewRow } from '../../../src/objects/new-rows.ts';
import type { Clock } from '../../../src/std/clock.ts';
import type { Tx } from '../../../src/store/view.ts';
import { apiVersion, edition, licenseParams, softwareVersion } from './identity.ts';

export interface HostRowOptions {
  readonly facts: HostFacts;
  readonly clock: Clock;
  /** Where the API is reached. */
  readonly address: string;
  readonly version: string;
  readonly newRow: NewRow;
}

const features = (processor: Processor | undefined): string => processor?.flags.join(' ') ?? '';

/** Processors as XenAPI clients know them; the words of CPUID are not told by every system and stay empty. */
export const cpuInfo = (processors: readonly Processor[]): ReadonlyMap<string, string> => {
  const [first] = processors;
  const sockets = new Set(processors.map(({ socket }) => socket)).size;
  return new Map([
    ['cpu_count', String(processors.length)],
    ['socket_count', String(sockets)],
    ['threads_per_core', String(threadsPerCore(processors))],
    ['vendor', first?.vendor ?? ''],
    ['speed', (first?.speedMhz ?? 0).toFixed(3)],
    ['modelname', first?.model ?? ''],
    ['family', String(first?.family ?? 0)],
    ['model', String(first?.modelNumber ?? 0)],
    ['stepping', first?.stepping ?? ''],
    ['flags', features(first)],
    ['features', ''],
    ['features_pv', ''],
    ['features_hvm', ''],
    ['features_pv_host', ''],
    ['features_hvm_host', ''],
  ]);
};

const coresOf = (processors: readonly Processor[]): number =>
  new Set(processors.map(({ socket, core }) => `${socket}/${core}`)).size;

const threadsPerCore = (processors: readonly Processor[]): number =>
  Math.max(1, Math.round(processors.length / Math.max(1, coresOf(processors))));

const cpuConfiguration = (processors: readonly Processor[]): ReadonlyMap<string, string> => {
  const sockets = Math.max(1, new Set(processors.map(({ socket }) => socket)).size);
  return new Map([
    ['nr_nodes', '1'],
    ['nr_cpus', String(processors.length)],
    ['cores_per_socket', String(Math.max(1, Math.round(coresOf(processors) / sockets)))],
    ['threads_per_core', String(threadsPerCore(processors))],
  ]);
};

const x86 = ['hvm-3.0-x86_32', 'hvm-3.0-x86_32p', 'hvm-3.0-x86_64'];

/** What follows from the machine, and is written anew at each start. */
const factsOf = (options: HostRowOptions): Partial<RecordNamed<'host'>> => ({
  hostname: options.facts.hostname,
  address: options.address,
  API_version_major: apiVersion.major,
  API_version_minor: apiVersion.minor,
  API_version_vendor: apiVersion.vendor,
  API_version_vendor_implementation: new Map([['xenact', options.version]]),
  software_version: softwareVersion(options.version, options.facts.system, 'bridge'),
  capabilities: x86,
  virtual_hardware_platform_versions: [0n, 1n, 2n],
  cpu_configuration: cpuConfiguration(options.facts.processors),
  license_params: licenseParams,
  edition,
  editions: [edition],
  bios_strings: options.facts.bios,
  chipset_info: new Map([['iommu', 'false']]),
});

/** What the hypervisor has told of them, which stays until it tells anew. */
const toldOfProcessors = (known: ReadonlyMap<string, string>): readonly [string, string][] =>
  [...known].filter(([key]) => key.startsWith('features'));

/** Seconds since 1970, as clients read these keys. */
const seconds = (ms: number): string => `${Math.floor(ms / 1000)}.`;

const startedAt = (
  other: ReadonlyMap<string, string>,
  { facts, clock }: HostRowOptions,
): ReadonlyMap<string, string> =>
  new Map([...other, ['agent_start_time', seconds(clock.now())], ['boot_time', seconds(facts.bootedAtMs)]]);

/** Memory that this system itself uses; what there was at the boot, as guests may use some by now. */
const ownMemory = ({ memoryBytes, memoryFreeBytes }: HostFacts): bigint =>
  ((memoryBytes - memoryFreeBytes) >> 20n) << 20n;

/** The rows of a host that is new: itself, its figures and its control domain. */
export const createHost = (tx: Tx, options: HostRowOptions): Ref<'host'> => {
  const { facts, clock, newRow } = options;
  const host = newRow('host');
  const metrics = newRow('host_metrics');
  const dom0 = newRow('VM');
  tx.create('host_metrics', metrics.ref, {
    uuid: metrics.uuid,
    memory_total: facts.memoryBytes,
    live: true,
    last_updated: dateTimeOf(clock.now()),
  });
  tx.create('host', host.ref, {
    ...factsOf(options),
    cpu_info: cpuInfo(facts.processors),
    uuid: host.uuid,
    name_label: facts.hostname,
    name_description: 'Default install',
    enabled: true,
    other_config: startedAt(new Map(), options),
    metrics: metrics.ref,
    boot_free_mem: facts.memoryFreeBytes,
    control_domain: dom0.ref,
  });
  createControlDomain(tx, options, host.ref, dom0);
  refreshProcessors(tx, host.ref, options);
  return host.ref;
};

const createControlDomain = (
  tx: Tx,
  { facts, clock, newRow }: HostRowOptions,
  host: Ref<'host'>,
  dom0: ReturnType<NewRow<'VM'>>,
): void => {
  const metrics = newRow('VM_metrics');
  const memory = ownMemory(facts);
  const vcpus = BigInt(facts.processors.length);
  tx.create('VM_metrics', metrics.ref, {
    uuid: metrics.uuid,
    memory_actual: memory,
    VCPUs_number: vcpus,
    start_time: dateTimeOf(facts.bootedAtMs),
    last_updated: dateTimeOf(clock.now()),
    current_domain_type: 'pv',
  });
  tx.create('VM', dom0.ref, {
    uuid: dom0.uuid,
    name_label: `Control domain on host: ${facts.hostname}`,
    name_description: 'The system that manages this host',
    is_control_domain: true,
    power_state: 'Running',
    resident_on: host,
    affinity: host,
    domid: 0n,
    domain_type: 'pv',
    ...memoryOf(memory),
    VCPUs_max: vcpus,
    VCPUs_at_startup: vcpus,
    HVM_shadow_multiplier: 1,
    metrics: metrics.ref,
  });
};

const memoryOf = (memory: bigint): Partial<RecordNamed<'VM'>> => ({
  memory_target: memory,
  memory_static_min: memory,
  memory_dynamic_min: memory,
  memory_dynamic_max: memory,
  memory_static_max: memory,
});

/** Brings the rows of a known host up to what its machine is today. */
export const refreshHost = (tx: Tx, host: Ref<'host'>, options: HostRowOptions): void => {
  const { facts, clock } = options;
  const row = tx.require('host', host);
  const rebooted = row.other_config.get('boot_time') !== seconds(facts.bootedAtMs);
  tx.patch('host', host, {
    ...factsOf(options),
    cpu_info: new Map([...cpuInfo(facts.processors), ...toldOfProcessors(row.cpu_info)]),
    other_config: startedAt(row.other_config, options),
    enabled: row.other_config.get(keepDisabled) !== 'true',
  });
  if (row.metrics !== nullRef) {
    tx.patch('host_metrics', row.metrics, {
      memory_total: facts.memoryBytes,
      live: true,
      last_updated: dateTimeOf(clock.now()),
    });
  }
  refreshControlDomain(tx, row.control_domain, options, rebooted);
  refreshProcessors(tx, host, options);
};

const refreshControlDomain = (
  tx: Tx,
  dom0: Ref<'VM'>,
  { facts, clock }: HostRowOptions,
  rebooted: boolean,
): void => {
  const row = tx.get('VM', dom0);
  if (row === undefined) return;
  // Guests may be running already, so only right after a boot does free memory tell what this system uses.
  const memory = rebooted ? ownMemory(facts) : row.memory_target;
  const vcpus = BigInt(facts.processors.length);
  tx.patch('VM', dom0, { ...memoryOf(memory), VCPUs_max: vcpus, VCPUs_at_startup: vcpus });
  if (tx.get('VM_metrics', row.metrics) === undefined) return;
  tx.patch('VM_metrics', row.metrics, {
    memory_actual: memory,
    VCPUs_number: vcpus,
    start_time: dateTimeOf(facts.bootedAtMs),
    last_updated: dateTimeOf(clock.now()),
  });
};

const refreshProcessors = (tx: Tx, host: Ref<'host'>, { facts, newRow }: HostRowOptions): void => {
  const known = new Map<bigint, Ref<'host_cpu'>>();
  for (const [ref, cpu] of tx.all('host_cpu')) if (cpu.host === host) known.set(cpu.number, ref);
  facts.processors.forEach((processor, index) => {
    const number = BigInt(index);
    const fields = {
      host,
      number,
      vendor: processor.vendor,
      speed: BigInt(Math.round(processor.speedMhz)),
      modelname: processor.model,
      family: BigInt(processor.family),
      model: BigInt(processor.modelNumber),
      stepping: processor.stepping,
      flags: features(processor),
    };
    const ref = known.get(number);
    if (ref !== undefined) tx.patch('host_cpu', ref, fields);
    else {
      const row = newRow('host_cpu');
      tx.create('host_cpu', row.ref, { ...fields, uuid: row.uuid });
    }
    known.delete(number);
  });
  for (const gone of known.values()) tx.delete('host_cpu', gone);
};
