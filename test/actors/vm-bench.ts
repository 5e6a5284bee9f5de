import consoleBehaviour from '../../actors/console/behaviour.ts';
import vbd from '../../actors/vbd/behaviour.ts';
import { VDI } from '../../actors/vdi/class.ts';
import vif from '../../actors/vif/behaviour.ts';
import vm from '../../actors/vm/behaviour.ts';
import { type VmReports, vmReports } from '../../actors/vm/reports.ts';
import vmGuestMetrics from '../../actors/vm_guest_metrics/behaviour.ts';
import vmMetrics from '../../actors/vm_metrics/behaviour.ts';
import { assumedCapabilities } from '../../src/drivers/capabilities.ts';
import {
  type DeviceId,
  type Hypervisor,
  type Kept,
  type VmState,
  XenopsError,
  type XenopsMetadata,
  type XenopsWork,
} from '../../src/drivers/hypervisor/hypervisor.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import type { Ref } from '../../src/model/types.ts';
import { nullRef } from '../../src/model/types.ts';
import { type Behaviour, implement } from '../../src/objects/implement.ts';
import { attending } from '../../src/rpc/xenops/attending.ts';
import { silentLog } from '../../src/std/log.ts';
import type { Tx } from '../../src/store/view.ts';
import { type World, type WorldOptions, world } from '../world.ts';

type Power = VmState['power_state'];

interface VmProcess {
  metadata: XenopsMetadata;
  power: Power;
  domid: number;
  readonly plugged: Set<string>;
}

export interface FakeHypervisor extends Hypervisor {
  readonly machines: Map<string, VmProcess>;
  /** Every call that changes something, in order. */
  readonly calls: string[];
  /** What each guest was given in xenstore while it ran. */
  readonly given: Map<string, ReadonlyMap<string, string>>;
  /** What devices of each guest keep from one run to the next. */
  readonly devices: Map<string, Kept>;
  /** What the next call of that name is refused with. */
  readonly faults: Map<string, Error>;
  /** Run as a call of that name begins, and awaited. */
  readonly hooks: Map<string, () => unknown>;
  /** Told of each call that changes something, before it does; what it throws is the answer. */
  gate: (name: string) => void;
  /** What guests did by themselves, or what a daemon forgot. */
  become(vm: string, power: Power | undefined): Promise<void>;
  agent: ReadonlyMap<string, string>;
  /** Where other daemons of this process find it. */
  readonly url: string;
  arrive(machine: VmProcess): void;
}

const daemons = new Map<string, FakeHypervisor>();

const lost = (): XenopsError => new XenopsError('Failed_to_contact_remote_service', ['gone']);

/** A daemon in process that does at once what it is told, reports it, and fails where a test says so. */
export const fakeHypervisor = (): FakeHypervisor => {
  const machines = new Map<string, VmProcess>();
  const calls: string[] = [];
  const given: FakeHypervisor['given'] = new Map();
  const devices: FakeHypervisor['devices'] = new Map();
  const faults = new Map<string, Error>();
  const hooks = new Map<string, () => unknown>();
  let reports: Parameters<Hypervisor['watch']>[0] | undefined;
  let reported: Promise<void> = Promise.resolve();
  let domids = 0;

  const find = (id: string): VmProcess => {
    const machine = machines.get(id);
    if (machine === undefined) throw new XenopsError('Does_not_exist', ['VM', id]);
    return machine;
  };
  const stateOf = (machine: VmProcess | undefined): VmState | undefined =>
    machine && {
      power_state: machine.power,
      domids: machine.power === 'Running' || machine.power === 'Paused' ? [machine.domid] : [],
      consoles: [
        { protocol: 'Rfb', port: 0, path: `/run/${machine.metadata.vm.id}.vnc` },
        { protocol: 'Vt100', port: 0, path: `/run/${machine.metadata.vm.id}.tty` },
      ],
      memory_target: machine.metadata.vm.memory_dynamic_max,
      memory_actual: machine.metadata.vm.memory_dynamic_max,
      memory_limit: machine.metadata.vm.memory_static_max,
      vcpu_target: machine.metadata.vm.vcpus,
      guest_agent: machine.power === 'Running' || machine.power === 'Paused' ? self.agent : new Map(),
      xsdata_state: new Map(),
      pv_drivers_detected: self.agent.size > 0,
      last_start_time: 1_000_000,
      hvm: true,
      nomigrate: false,
      nested_virt: false,
      domain_type: 'Domain_HVM',
      rtc_timeoffset: '0',
      featureset: machine.metadata.vm.platformdata.get('featureset') ?? '',
    };
  const announce = (id: string): void => {
    const tell = (): Promise<void> | undefined =>
      attended.keeps(id) ? undefined : reports?.onVm(id, stateOf(machines.get(id)));
    reported = reported.then(tell).catch(() => {});
  };
  const attended = attending({
    clock: nodeClock,
    stat: async (id) => stateOf(machines.get(id)),
    again: announce,
    handled: () => reported,
  });
  const step = async (name: string, work?: XenopsWork): Promise<void> => {
    const stopIfCancelled = (): void => {
      if (work?.signal.aborted === true) throw new XenopsError('Cancelled', ['1']);
    };
    calls.push(name);
    stopIfCancelled();
    self.gate(name);
    await hooks.get(name)?.();
    stopIfCancelled();
    const fault = faults.get(name);
    faults.delete(name);
    if (fault !== undefined) throw fault;
  };
  const move = (id: string, from: readonly Power[], to: Power): void => {
    const machine = find(id);
    if (!from.includes(machine.power)) {
      throw new XenopsError('Bad_power_state', [machine.power, from[0] ?? 'Running']);
    }
    machine.power = to;
    announce(id);
  };
  const begin = (id: string, from: Power): void => {
    domids += 1;
    find(id).domid = domids;
    move(id, [from], 'Paused');
    const { metadata, plugged } = find(id);
    for (const device of [...metadata.vbds, ...metadata.vifs]) plugged.add(device.id[1]);
  };
  const end = (id: string, power: Power): void => {
    move(id, ['Running', 'Paused', 'Suspended', 'Halted'], power);
    find(id).plugged.clear();
  };
  const plugging =
    (name: string, change: (plugged: Set<string>, key: string) => void) =>
    async ([id, key]: DeviceId, ...rest: readonly unknown[]): Promise<void> => {
      await step(name, rest.at(-1) as XenopsWork);
      change(find(id).plugged, key);
    };
  const statDevice = async ([id, key]: DeviceId): Promise<{ active: boolean; plugged: boolean }> => ({
    active: true,
    plugged: find(id).plugged.has(key),
  });

  const self: FakeHypervisor = {
    url: `fake:${daemons.size}`,
    arrive: (machine) => {
      domids += 1;
      machines.set(machine.metadata.vm.id, { ...machine, domid: domids });
      announce(machine.metadata.vm.id);
    },
    machines,
    calls,
    given,
    devices,
    faults,
    hooks,
    gate: () => {},
    agent: new Map([
      ['attr/PVAddons/MajorVersion', '9'],
      ['control/feature-suspend', '1'],
    ]),
    become: async (id, power) => {
      if (power === undefined) machines.delete(id);
      else find(id).power = power;
      announce(id);
      await reported;
    },
    query: async () => ({
      name: 'fake',
      version: '1',
      features: [],
      capabilities: assumedCapabilities,
      instanceId: '1',
    }),
    hostStat: async () => ({ version: '', features: new Map() }),
    importMetadata: async (metadata) => {
      await step('importMetadata');
      const known = machines.get(metadata.vm.id);
      if (known === undefined) {
        const power = metadata.domains === undefined ? 'Halted' : 'Suspended';
        machines.set(metadata.vm.id, { metadata, power, domid: -1, plugged: new Set() });
      } else {
        known.metadata = metadata;
        if (metadata.domains !== undefined && known.power === 'Halted') known.power = 'Suspended';
      }
      announce(metadata.vm.id);
      return metadata.vm.id;
    },
    exportMetadata: async (id) => ({ ...find(id).metadata, domains: `domains of ${id}` }),
    stat: async (id) => stateOf(machines.get(id)),
    list: async () => [...machines].map(([id, machine]) => ({ id, state: stateOf(machine) as VmState })),
    remove: async (id) => {
      await step('remove');
      if (find(id).power === 'Running') throw new XenopsError('Bad_power_state', ['Running', 'Halted']);
      machines.delete(id);
    },
    start: async (id, _force, work) => {
      await step('start', work);
      begin(id, 'Halted');
    },
    unpause: async (id, work) => {
      await step('unpause', work);
      move(id, ['Paused'], 'Running');
    },
    pause: async (id, work) => {
      await step('pause', work);
      move(id, ['Running'], 'Paused');
    },
    shutdown: async (id, timeoutS, work) => {
      await step(timeoutS === undefined ? 'hard' : 'shutdown', work);
      end(id, 'Halted');
    },
    reboot: async (id, _timeoutS, work) => {
      await step('reboot', work);
      move(id, ['Running', 'Paused'], 'Running');
    },
    suspend: async (id, _into, work) => {
      await step('suspend', work);
      end(id, 'Suspended');
    },
    resume: async (id, _from, work) => {
      await step('resume', work);
      begin(id, 'Suspended');
    },
    migrate: async (id, to, work) => {
      await step('migrate', work);
      if (!['Running', 'Paused'].includes(find(id).power)) {
        throw new XenopsError('Bad_power_state', [find(id).power, 'Running']);
      }
      const other = daemons.get(to.url);
      if (other === undefined) throw lost();
      other.arrive({ ...find(id), plugged: new Set(find(id).plugged) });
      // From here on the guest is there, whatever becomes of who asked for it.
      await step('migrated');
      machines.delete(id);
      announce(id);
    },
    setVcpus: async (_id, count, work) => step(`setVcpus ${count}`, work),
    setMemoryDynamicRange: async (_id, minimum, maximum, work) =>
      step(`setMemory ${minimum} ${maximum}`, work),
    turn: async (_id, work) => step('turn', work),
    setXsdata: async (id, data, work) => {
      await step('setXsdata', work);
      given.set(id, data);
    },
    kept: async (id) => devices.get(id) ?? new Map(),
    setKept: async (id, kept) => {
      await step('setKept');
      devices.set(id, kept);
    },
    setShadowMultiplier: async (_id, multiplier, work) => step(`setShadowMultiplier ${multiplier}`, work),
    sendSysrq: async (_id, key, work) => step(`sendSysrq ${key}`, work),
    sendTrigger: async (_id, trigger, work) => step(`sendTrigger ${trigger}`, work),
    requestRdp: async (_id, enabled, work) => step(`requestRdp ${enabled}`, work),
    runScript: async (_id, script, work) => {
      await step(`runScript ${script}`, work);
      return { rc: 3, stdout: 'said', stderr: '' };
    },
    addVbd: async () => step('addVbd'),
    removeVbd: async () => step('removeVbd'),
    plugVbd: plugging('plugVbd', (plugged, key) => plugged.add(key)),
    unplugVbd: plugging('unplugVbd', (plugged, key) => plugged.delete(key)),
    insertVbd: async (_id, _disk, work) => step('insertVbd', work),
    ejectVbd: async (_id, work) => step('ejectVbd', work),
    overlayVbd: async (_id, work) => step('overlayVbd', work),
    mirrorVbd: async (_id, _into, work) => step('mirrorVbd', work),
    growVbd: async (_id, size, work) => step(`growVbd ${size}`, work),
    statVbd: statDevice,
    addVif: async () => step('addVif'),
    removeVif: async () => step('removeVif'),
    plugVif: plugging('plugVif', (plugged, key) => plugged.add(key)),
    unplugVif: plugging('unplugVif', (plugged, key) => plugged.delete(key)),
    moveVif: async (_id, network, work) => step(`moveVif ${network}`, work),
    setVifLocking: async (_id, mode, work) => step(`lockVif ${JSON.stringify(mode)}`, work),
    statVif: statDevice,
    watch: (given) => {
      reports = given;
    },
    barrier: async () => {
      await step('barrier');
      await reported;
    },
    attend: (id) => {
      const { state, leave } = attended.attend(id);
      return { state: () => step('state').then(state), leave };
    },
    reportAgain: (id) => announce(id),
    refresh: async (id) => {
      await step('refresh');
      announce(id);
    },
    close: async () => {},
  };
  daemons.set(self.url, self);
  return self;
};

export const daemonGone = lost;

let disks = 0;

/** Disks that are rows and nothing else. A test can have any of their messages fail. */
export const fakeDisks = () => {
  const faults = new Map<string, Error>();
  const step = (name: string): void => {
    self.gate(`VDI.${name}`);
    const fault = faults.get(name);
    faults.delete(name);
    if (fault !== undefined) throw fault;
  };
  const add = (tx: Tx, fields: object): Ref<'VDI'> => {
    disks += 1;
    const ref = `OpaqueRef:made-${disks}` as Ref<'VDI'>;
    tx.create('VDI', ref, { ...fields, uuid: `made-${disks}`, location: `made-${disks}`, managed: true });
    return ref;
  };
  const like = (name: string, more: (of: Ref<'VDI'>) => object) => ({
    work: async (working: any) => {
      step(name);
      const { current_operations: _, VBDs: __, snapshots: ___, ...row } = working.record;
      return working.commit((tx: Tx) => add(tx, { ...row, ...more(working.self) }));
    },
  });
  const behaviour = implement(VDI, {}, {
    create: {
      on: () => nullRef,
      decide: ({ tx }: any, fields: object) => {
        step('create');
        return add(tx, fields);
      },
    },
    destroy: {
      decide: ({ tx, self }: any) => {
        step('destroy');
        tx.delete('VDI', self);
      },
    },
    snapshot: like('snapshot', (snapshot_of) => ({ is_a_snapshot: true, snapshot_of })),
    clone: like('clone', () => ({ is_a_snapshot: false, snapshot_of: nullRef })),
    copy: like('copy', () => ({ is_a_snapshot: false, snapshot_of: nullRef })),
  } as any);
  const self = { behaviour, faults, gate: (_name: string): void => {} };
  return self;
};

export interface Bench extends World {
  readonly reports: VmReports;
  readonly sr: Ref<'SR'>;
  readonly network: Ref<'network'>;
  /** A halted VM with one disk, an empty CD drive and one card. */
  newVm(fields?: Record<string, unknown>): Promise<Ref<'VM'>>;
  state(vm: Ref<'VM'>): string;
  uuid(vm: Ref<'VM'>): string;
}

const gib = 1024n * 1024n * 1024n;

/** What a client gives to make a VM: every field that has no default. */
export const vmFields = (more: Record<string, unknown> = {}): Map<string, unknown> =>
  new Map(
    Object.entries({
      name_label: 'guest',
      user_version: 1n,
      is_a_template: false,
      affinity: nullRef,
      memory_static_max: gib,
      memory_dynamic_max: gib,
      memory_dynamic_min: gib / 2n,
      memory_static_min: gib / 4n,
      VCPUs_params: new Map(),
      VCPUs_max: 2n,
      VCPUs_at_startup: 1n,
      actions_after_shutdown: 'destroy',
      actions_after_reboot: 'restart',
      actions_after_crash: 'restart',
      PV_bootloader: '',
      PV_kernel: '',
      PV_ramdisk: '',
      PV_args: '',
      PV_bootloader_args: '',
      PV_legacy_args: '',
      HVM_boot_policy: 'BIOS order',
      HVM_boot_params: new Map([['order', 'cd']]),
      platform: new Map(),
      PCI_bus: '',
      other_config: new Map(),
      recommendations: '',
      ...more,
    }),
  );

export const vbdFields = (more: Record<string, unknown>): Map<string, unknown> =>
  new Map(
    Object.entries({
      VDI: nullRef,
      userdevice: 'autodetect',
      bootable: true,
      mode: 'RW',
      type: 'Disk',
      empty: false,
      other_config: new Map(),
      qos_algorithm_type: '',
      qos_algorithm_params: new Map(),
      ...more,
    }),
  );

export const vifFields = (more: Record<string, unknown>): Map<string, unknown> =>
  new Map(
    Object.entries({
      device: '0',
      MAC: '',
      MTU: 1500n,
      other_config: new Map(),
      qos_algorithm_type: '',
      qos_algorithm_params: new Map(),
      ...more,
    }),
  );

export const bench = async (
  hypervisor: Hypervisor,
  options: WorldOptions & {
    readonly disks?: ReturnType<typeof fakeDisks>;
    /** Behaviours beside those of VMs and their devices. */
    readonly more?: readonly Behaviour<any>[];
  } = {},
): Promise<Bench> => {
  const sr = 'OpaqueRef:sr' as Ref<'SR'>;
  const network = 'OpaqueRef:network' as Ref<'network'>;
  const storage = (options.disks ?? fakeDisks()).behaviour;
  const made = await world({
    behaviours: [vm, vbd, vif, consoleBehaviour, vmMetrics, vmGuestMetrics, storage, ...(options.more ?? [])],
    hypervisor,
    ...options,
    rows: (tx) => {
      tx.create('SR', sr, { uuid: 'sr', type: 'fake' });
      tx.create('SM', 'OpaqueRef:sm' as Ref<'SM'>, {
        type: 'fake',
        features: new Map([['VDI_SNAPSHOT', 1n]]),
      });
      const host = 'OpaqueRef:host' as Ref<'host'>;
      tx.create('PBD', 'OpaqueRef:pbd' as Ref<'PBD'>, { SR: sr, host, currently_attached: true });
      tx.create('network', network, { uuid: 'network', bridge: 'xenbr0', MTU: 1500n });
      tx.patch('pool', 'OpaqueRef:pool' as Ref<'pool'>, { default_SR: sr });
      options.rows?.(tx);
    },
  });
  const { invoker, store, services } = made;
  const reports = vmReports({ invoker, store, services, log: silentLog });
  hypervisor.watch(reports);
  return {
    ...made,
    reports,
    sr,
    network,
    newVm: async (fields = {}) => {
      const self = await made.call('VM.create', vmFields(fields));
      const vdi = await made.call(
        'VDI.create',
        new Map<string, unknown>([
          ['SR', sr],
          ['virtual_size', gib],
          ['type', 'user'],
          ['sharable', false],
          ['read_only', false],
          ['other_config', new Map()],
        ]),
      );
      await made.call('VBD.create', vbdFields({ VM: self, VDI: vdi, userdevice: '0' }));
      await made.call(
        'VBD.create',
        vbdFields({ VM: self, type: 'CD', mode: 'RO', empty: true, userdevice: '3' }),
      );
      await made.call('VIF.create', vifFields({ VM: self, network }));
      return self;
    },
    state: (self) => store.committed.require('VM', self).power_state,
    uuid: (self) => store.committed.require('VM', self).uuid,
  };
};
