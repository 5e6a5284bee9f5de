import { createHost } from '../../../actors/pool/bootstrap/host-rows.ts';
import { bootstrap } from '../../../actors/pool/bootstrap.ts';
import type { RecordNamed } from '../../model/class.ts';
import type { Ref } from '../../model/types.ts';
import { type NewRow, newRows } from '../../objects/new-rows.ts';
import { refreshCards } from '../../rules/network-cards.ts';
import type { Clock } from '../../std/clock.ts';
import type { Store } from '../../store/store.ts';
import type { Tx } from '../../store/view.ts';
import type { SeededRandom } from '../random.ts';
import type { Volumes } from '../volumes.ts';
import { type SimulatedMachine, simulatedMachines } from './machines.ts';

export interface PoolSize {
  readonly hosts: number;
  readonly vms: number;
  /** Repositories that all hosts share; each host has one of its own besides. */
  readonly srs: number;
}

export interface SandboxHost extends SimulatedMachine {
  readonly ref: Ref<'host'>;
}

export interface StartPool {
  readonly store: Store;
  readonly random: SeededRandom;
  readonly clock: Clock;
  readonly volumes: Volumes;
  readonly size: PoolSize;
  readonly name: string;
  /** Where clients reach the coordinator. */
  readonly address: string;
  readonly version: string;
}

const GiB = 1n << 30n;
const MiB = 1n << 20n;
const rowsOfOneCommit = 500;
/** Of every so many VMs one has its disk on its host alone. */
const localEvery = 10;

/** A pool whose hosts are there, and that can be filled. */
export interface StartedRows {
  readonly hosts: readonly SandboxHost[];
  /** Makes repositories and VMs, and the disks that they speak of. */
  fill(): Promise<void>;
}

/** The rows of a pool of this size. All follow from the seed. */
export const startPool = async (given: StartPool): Promise<StartedRows> => {
  const { store, random, clock, size } = given;
  const plans = planVms(random.split('plans'), size.vms);
  const guestBytes = plans.reduce((sum, { memory }) => sum + memory, 0n);
  const machines = simulatedMachines(random.split('machines'), size.hosts, guestBytes, clock.now());
  const newRow = newRows(random.split('rows'));
  const hosts = await createHosts(given, machines, newRow);
  const fill = async (): Promise<void> => {
    const repositories = await store.commit((tx) => createRepositories(tx, given, hosts, newRow));
    const around = { repositories, networks: networksOf(store), template: templateOf(store) };
    for (let done = 0; done < plans.length; done += rowsOfOneCommit) {
      await store.commit((tx) => {
        for (const plan of plans.slice(done, done + rowsOfOneCommit)) {
          createVm(tx, plan, { ...given, ...around, hosts, newRow });
        }
      });
    }
  };
  return { hosts, fill };
};

interface VmPlan {
  readonly index: number;
  readonly name: string;
  readonly memory: bigint;
  readonly vcpus: bigint;
  readonly disk: bigint;
  readonly usedPercent: bigint;
  readonly mac: string;
}

const purposes = [
  'web',
  'db',
  'cache',
  'build',
  'mail',
  'proxy',
  'queue',
  'files',
  'metrics',
  'desk',
] as const;

const planVms = (random: SeededRandom, count: number): readonly VmPlan[] =>
  Array.from({ length: count }, (_, index) => ({
    index,
    name: `${random.pick(purposes)}-${String(index + 1).padStart(4, '0')}`,
    memory: random.pick([512n * MiB, GiB, 2n * GiB, 2n * GiB, 4n * GiB, 8n * GiB]),
    vcpus: BigInt(random.pick([1, 1, 2, 2, 4, 8])),
    disk: random.pick([10n, 20n, 40n, 100n]) * GiB,
    usedPercent: BigInt(random.between(5, 80)),
    mac: ['02', ...(Buffer.from(random.bytes(5)).toString('hex').match(/../g) as string[])].join(':'),
  }));

const createHosts = async (
  { store, clock, random, name, address, version }: StartPool,
  machines: readonly SimulatedMachine[],
  newRow: NewRow,
): Promise<readonly SandboxHost[]> => {
  const [first, ...others] = machines as readonly [SimulatedMachine, ...SimulatedMachine[]];
  const options = { store, clock, random: random.split('pool'), name, version };
  const { host } = await bootstrap({ ...options, facts: first.facts, address });
  const rest = await store.commit((tx) =>
    others.map((machine) => {
      const ref = createHost(tx, { ...options, ...machine, newRow });
      refreshCards(tx, ref, { facts: machine.facts, clock, newRow });
      return { ...machine, ref };
    }),
  );
  return [{ ...first, address, ref: host }, ...rest];
};

interface Repositories {
  readonly shared: readonly Repository[];
  readonly local: readonly Repository[];
}

interface Repository {
  readonly ref: Ref<'SR'>;
  readonly uuid: string;
}

const createRepositories = (
  tx: Tx,
  { size, volumes }: StartPool,
  hosts: readonly SandboxHost[],
  newRow: NewRow,
): Repositories => {
  const create = (
    fields: Partial<RecordNamed<'SR'>> & { readonly type: string; readonly name_label: string },
    on: readonly SandboxHost[],
  ): Repository => {
    const { ref, uuid } = newRow('SR');
    const totalBytes = fields.physical_size ?? 0n;
    const shared = fields.shared === true;
    volumes.add({
      ...{ uuid, name: fields.name_label, description: '', type: fields.type, totalBytes },
      ...(!shared && { host: on[0]?.name ?? '' }),
    });
    tx.create('SR', ref, { content_type: 'user', default_vdi_visibility: true, ...fields, uuid });
    for (const host of on) {
      const pbd = newRow('PBD');
      const device_config = new Map([['location', shared ? `filer:/${fields.name_label}` : '/dev/sda3']]);
      tx.create('PBD', pbd.ref, {
        ...{ uuid: pbd.uuid, host: host.ref, SR: ref, device_config, currently_attached: true },
      });
    }
    return { ref, uuid };
  };
  const shared = Array.from({ length: size.srs }, (_, i) =>
    create(
      {
        name_label: `shared-${i + 1}`,
        type: i % 2 === 0 ? 'nfs' : 'lvmoiscsi',
        shared: true,
        physical_size: 400n << 40n,
      },
      hosts,
    ),
  );
  create(
    { name_label: 'CD images', type: 'iso', content_type: 'iso', shared: true, physical_size: 1n << 40n },
    hosts,
  );
  const local = hosts.map((host) => {
    const name_label = `Local storage of ${host.name}`;
    return create({ name_label, type: 'ext', shared: false, physical_size: 16n << 40n }, [host]);
  });
  const [preferred = local[0]] = shared;
  if (preferred !== undefined) {
    const { ref } = preferred;
    const [pool] = tx.only('pool');
    tx.patch('pool', pool, { default_SR: ref, suspend_image_SR: ref, crash_dump_SR: ref });
    for (const host of hosts) tx.patch('host', host.ref, { suspend_image_sr: ref, crash_dump_sr: ref });
  }
  return { shared, local };
};

/** The networks that the cards of every host lead to. */
const networksOf = ({ latest }: Store): readonly Ref<'network'>[] =>
  [...latest.all('network')].filter(([, { bridge }]) => bridge.startsWith('xenbr')).map(([ref]) => ref);

/** What VMs take of a template; what is derived or related is theirs alone. */
const templateOf = ({ latest }: Store): Partial<RecordNamed<'VM'>> => {
  for (const [, { uuid: _, VBDs, VIFs, consoles, ...record }] of latest.all('VM')) {
    if (record.name_label === 'Debian Bookworm 12') return record;
  }
  throw new Error('The pool has no template for guests');
};

interface Around extends StartPool {
  readonly repositories: Repositories;
  readonly hosts: readonly SandboxHost[];
  readonly networks: readonly Ref<'network'>[];
  readonly template: Partial<RecordNamed<'VM'>>;
  readonly newRow: NewRow;
}

const createVm = (tx: Tx, plan: VmPlan, around: Around): void => {
  const { newRow, networks, template, hosts } = around;
  const { index, name, memory, vcpus } = plan;
  const vm = newRow('VM');
  const isLocal = around.repositories.shared.length === 0 || index % localEvery === localEvery - 1;
  const host = hosts[Math.floor(index / localEvery) % hosts.length];
  const repository = repositoryOf(around, index, isLocal);
  tx.create('VM', vm.ref, {
    ...template,
    uuid: vm.uuid,
    name_label: name,
    name_description: 'A simulated guest',
    is_a_template: false,
    is_default_template: false,
    memory_static_min: memory / 2n,
    memory_dynamic_min: memory,
    memory_dynamic_max: memory,
    memory_static_max: memory,
    VCPUs_max: vcpus,
    VCPUs_at_startup: vcpus,
    other_config: new Map(),
    // Where a disk is on one host only, so is the VM.
    ...(isLocal && host !== undefined && { affinity: host.ref }),
  });
  createDrives(tx, plan, vm.ref, repository, around);
  const vif = newRow('VIF');
  const network = networks[index % networks.length];
  if (network === undefined) throw new Error('The pool has no network for guests');
  const card = { uuid: vif.uuid, VM: vm.ref, network, device: '0', MAC: plan.mac, MTU: 1_500n };
  tx.create('VIF', vif.ref, card);
};

const repositoryOf = ({ repositories, hosts }: Around, index: number, isLocal: boolean): Repository => {
  const { shared, local } = repositories;
  const found = isLocal
    ? local[Math.floor(index / localEvery) % hosts.length]
    : shared[index % shared.length];
  if (found === undefined) throw new Error('The pool has no repository for disks');
  return found;
};

/** A disk, and an empty CD drive. */
const createDrives = (
  tx: Tx,
  { name, disk, usedPercent }: VmPlan,
  VM: Ref<'VM'>,
  repository: Repository,
  { newRow, volumes }: Around,
): void => {
  const [vdi, vbd, drive] = [newRow('VDI'), newRow('VBD'), newRow('VBD')];
  const facts = { name: `${name} disk`, description: 'The root disk of a simulated guest' };
  const usedBytes = (disk * usedPercent) / 100n;
  volumes.addVolume(repository.uuid, {
    ...facts,
    ...{ key: vdi.uuid, uuid: vdi.uuid, readWrite: true, sharable: false },
    ...{ virtualSizeBytes: disk, physicalUtilisationBytes: usedBytes, keys: new Map([['vdi-type', 'user']]) },
  });
  tx.create('VDI', vdi.ref, {
    ...{ uuid: vdi.uuid, name_label: facts.name, name_description: facts.description },
    ...{
      SR: repository.ref,
      virtual_size: disk,
      physical_utilisation: usedBytes,
      location: vdi.uuid,
      managed: true,
    },
  });
  const sr = tx.require('SR', repository.ref);
  tx.patch('SR', repository.ref, {
    virtual_allocation: sr.virtual_allocation + disk,
    physical_utilisation: sr.physical_utilisation + usedBytes,
  });
  tx.create('VBD', vbd.ref, {
    ...{ uuid: vbd.uuid, VM, VDI: vdi.ref, userdevice: '0', bootable: true, mode: 'RW', type: 'Disk' },
  });
  tx.create('VBD', drive.ref, {
    ...{ uuid: drive.uuid, VM, userdevice: '3', bootable: false, mode: 'RO', type: 'CD', empty: true },
  });
};
