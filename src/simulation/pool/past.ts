import { behaviours } from '../../../actors/behaviours.ts';
import { classes } from '../../../actors/index.ts';
import { bootstrap } from '../../../actors/pool/bootstrap.ts';
import type { MeshCertificate } from '../../drivers/mesh-wire.ts';
import { nullRef, type Ref } from '../../model/types.ts';
import { type Catalog, catalogOf } from '../../objects/catalog.ts';
import { storeRules } from '../../objects/derive-rows.ts';
import type { HostFacts } from '../../objects/host-facts.ts';
import { admit, rowsToBring } from '../../pool/joining.ts';
import { announce, type OwnPeer } from '../../pool/peers.ts';
import { protocolVersions } from '../../pool/protocol.ts';
import { internalClasses } from '../../pool/rows.ts';
import { silentLog } from '../../std/log.ts';
import type { Durable, StoredRow, WriteGroup } from '../../store/durable.ts';
import { type OpenedStore, openStore, type Store } from '../../store/store.ts';
import type { Tx } from '../../store/view.ts';
import { fingerprintOf, simulatedCertificate } from '../memory-mesh.ts';
import { type SeededRandom, seededRandom } from '../random.ts';
import { virtualClock } from '../virtual-clock.ts';

/**
 * A pool as it was set up before a simulation begins: hosts that have joined, a shared repository and VMs.
 */
export interface Past {
  readonly hosts: readonly PastHost[];
  readonly vms: readonly PastVm[];
  readonly uuid: string;
  /** All that the disk of each host has. */
  readonly rows: WriteGroup;
  /** The shared repository, as storage has it. */
  readonly repository: { readonly uuid: string; readonly disks: readonly string[] };
}

export interface PastHost {
  readonly machine: string;
  readonly host: Ref<'host'>;
  readonly certificate: MeshCertificate;
  readonly peer: OwnPeer;
}

export interface PastVm {
  readonly ref: Ref<'VM'>;
  readonly uuid: string;
}

export const meshPort = 7;
export const catalog: Catalog = catalogOf(classes, behaviours);
export const storeClasses = [...classes, ...internalClasses];

export const factsOf = (hostname: string): HostFacts => ({
  hostname,
  memoryBytes: 16n << 30n,
  memoryFreeBytes: 14n << 30n,
  bootedAtMs: Date.UTC(2029, 0, 1),
  system: 'Linux 6.1.0',
  bios: new Map(),
  processors: [0].map((core) => ({
    ...{ vendor: 'GenuineIntel', model: 'A Processor', speedMhz: 2000, family: 6, modelNumber: 85 },
    ...{ stepping: '7', flags: ['fpu', 'vmx'], socket: 0, core },
  })),
  cards: [],
  nameServers: [],
});

/** A disk that only collects. */
const collecting = (): { readonly durable: Durable; readonly group: () => WriteGroup } => {
  const rows = new Map<string, StoredRow>();
  let last: WriteGroup | undefined;
  return {
    durable: {
      load: () => ({ rows: [], tombstones: [], horizon: 0, generation: 0 }),
      write: async (groups) => {
        for (const group of groups) {
          for (const row of group.puts) rows.set(`${row.cls}/${row.ref}`, row);
          for (const { cls, ref } of group.deletes) rows.delete(`${cls}/${ref}`);
          last = group;
        }
      },
      close: async () => {},
    },
    group: () => {
      if (last === undefined) throw new Error('Nothing was written');
      return { ...last, puts: [...rows.values()], deletes: [], tombstones: [] };
    },
  };
};

const openScratch = (durable: Durable): OpenedStore =>
  openStore({ classes: storeClasses, durable, log: silentLog, ...storeRules(catalog) });

const hostAlone = async (store: Store, machine: string, random: SeededRandom): Promise<Ref<'host'>> => {
  const clock = virtualClock();
  const options = { store, clock, random, facts: factsOf(machine), name: 'pool', address: machine };
  return (await bootstrap({ ...options, version: '1' })).host;
};

const made = new Map<string, Promise<Past>>();

/** The same for all seeds, and made once. */
export const pastOf = (hosts: number, vms: number): Promise<Past> => {
  const key = `${hosts}/${vms}`;
  const known = made.get(key) ?? makePast(hosts, vms);
  made.set(key, known);
  return known;
};

const makePast = async (count: number, vmCount: number): Promise<Past> => {
  const random = seededRandom('past');
  const { durable, group } = collecting();
  const { store, replica } = openScratch(durable);
  const hosts: PastHost[] = [];
  for (let index = 0; index < count; index += 1) {
    const machine = `host${index + 1}`;
    const own = random.split(machine);
    const certificate = simulatedCertificate(own);
    const pins = [fingerprintOf(certificate.cert)];
    const peer: OwnPeer = { address: machine, port: BigInt(meshPort), pins, apiPort: 443n };
    const scratch = index === 0 ? { store, replica } : openScratch(collecting().durable);
    const host = await hostAlone(scratch.store, machine, own);
    hosts.push({ machine, host, certificate, peer });
    if (index === 0) await announce({ store, host } as never, peer);
    else {
      const rows = rowsToBring(scratch.store).map(([cls, ref, fields]) => [cls, ref, { ...fields }] as const);
      const into = { store, random: own, limits: { hostsMax: count } };
      await admit(into, { host, versions: protocolVersions, peer, force: false, rows });
      await scratch.replica.close();
    }
  }
  const made = await store.commit((tx) => guests(tx, hosts, vmCount, random));
  const { uuid } = store.committed.only('pool')[1];
  await replica.close();
  return { hosts, uuid, ...made, rows: group() };
};

/** A machine on which nothing was ever set up: its first start makes a pool of its own. */
export const spareOf = (index: number): PastHost => {
  const machine = `spare${index + 1}`;
  const certificate = simulatedCertificate(seededRandom(machine));
  const peer = { address: machine, port: BigInt(meshPort), pins: [], apiPort: 443n };
  return { machine, host: nullRef as Ref<'host'>, certificate, peer };
};

const gib = 1n << 30n;
export const diskBytes = gib;

/** VMs with a disk each; the last two share one. */
const guests = (
  tx: Tx,
  hosts: readonly PastHost[],
  count: number,
  random: SeededRandom,
): Pick<Past, 'vms' | 'repository'> => {
  // Templates are only ballast here.
  for (const [ref, { is_a_template }] of [...tx.all('VM')]) if (is_a_template) tx.delete('VM', ref);
  const newRef = <C extends string>(): Ref<C> => `OpaqueRef:${random.uuid()}` as Ref<C>;
  const sr = newRef<'SR'>();
  const uuid = random.uuid();
  tx.create('SR', sr, { uuid, name_label: 'shared', type: 'nfs', shared: true });
  for (const { host } of hosts) {
    tx.create('PBD', newRef<'PBD'>(), { uuid: random.uuid(), SR: sr, host, currently_attached: true });
  }
  let disk = newRef<'VDI'>();
  const disks: string[] = [];
  const vms = Array.from({ length: count }, (_, index) => {
    const [ref, uuid] = [newRef<'VM'>(), random.uuid()];
    if (index === 0 || index < count - 1) {
      disk = newRef<'VDI'>();
      const location = random.uuid();
      disks.push(location);
      tx.create('VDI', disk, {
        uuid: location,
        location,
        SR: sr,
        virtual_size: diskBytes,
        managed: true,
        type: 'user',
      });
    }
    const memory = { memory_static_max: gib, memory_dynamic_max: gib, memory_dynamic_min: gib };
    const boot = { HVM_boot_policy: 'BIOS order', domain_type: 'hvm' } as const;
    tx.create('VM', ref, {
      ...{ uuid, name_label: `vm${index}`, ...memory, ...boot, memory_static_min: gib },
      ...{ VCPUs_max: 1n, VCPUs_at_startup: 1n, power_state: 'Halted', HVM_shadow_multiplier: 1 },
    });
    tx.create('VBD', newRef<'VBD'>(), {
      ...{ uuid: random.uuid(), VM: ref, VDI: disk, userdevice: '0', mode: 'RW', type: 'Disk' },
      ...{ bootable: true, empty: false },
    });
    return { ref, uuid };
  });
  return { vms, repository: { uuid, disks } };
};
