import consoleBehaviour from '../../actors/console/behaviour.ts';
import host from '../../actors/host/behaviour.ts';
import PBD from '../../actors/pbd/behaviour.ts';
import SR from '../../actors/sr/behaviour.ts';
import task from '../../actors/task/behaviour.ts';
import vbd from '../../actors/vbd/behaviour.ts';
import vif from '../../actors/vif/behaviour.ts';
import vm from '../../actors/vm/behaviour.ts';
import { type VmReports, vmReports } from '../../actors/vm/reports.ts';
import vmGuestMetrics from '../../actors/vm_guest_metrics/behaviour.ts';
import vmMetrics from '../../actors/vm_metrics/behaviour.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { hostRef, type World, type WorldHost, type WorldOptions, world } from '../world.ts';
import { type FakeHypervisor, fakeDisks, fakeHypervisor, vbdFields, vmFields } from './vm-bench.ts';

// A pool of several hosts, each with a scripted hypervisor, over storage that all of them see.

export interface PoolBench extends World {
  readonly hypervisors: readonly FakeHypervisor[];
  readonly reports: readonly VmReports[];
  readonly sr: Ref<'SR'>;
  /** A halted VM, with a disk on shared storage if nothing else is said. */
  newVm(fields?: Record<string, unknown>, sr?: Ref<'SR'>): Promise<Ref<'VM'>>;
  /** A repository that only one host has. */
  localSr(at: WorldHost): Promise<Ref<'SR'>>;
  row(vm: Ref<'VM'>): RecordNamed<'VM'>;
  /** Hosts whose hypervisor runs the guest. */
  runsOn(vm: Ref<'VM'>): readonly Ref<'host'>[];
  fault(call: Promise<unknown>): Promise<readonly string[]>;
}

export const gib = 1n << 30n;

/** `behaviours` are beside those that every pool of this kind has. */
export const poolBench = async (options: WorldOptions = {}): Promise<PoolBench> => {
  const count = options.hosts ?? 3;
  const hypervisors = Array.from({ length: count }, fakeHypervisor);
  const sr = 'OpaqueRef:sr' as Ref<'SR'>;
  const hypervisorOf = (at: Ref<'host'>): FakeHypervisor =>
    hypervisors[made.hosts.findIndex((one) => one.host === at)] as FakeHypervisor;
  const made: World = await world({
    ...options,
    behaviours: [
      vm,
      vbd,
      vif,
      consoleBehaviour,
      vmMetrics,
      vmGuestMetrics,
      host,
      task,
      SR,
      PBD,
      fakeDisks().behaviour,
      ...(options.behaviours ?? []),
    ],
    hosts: count,
    differing: (index) => ({
      hypervisor: hypervisors[index] as FakeHypervisor,
      services: {
        migrationTo: async (to) => ({ url: hypervisorOf(to).url, close: async () => {} }),
      },
    }),
    rows: (tx) => {
      tx.create('SR', sr, { uuid: 'sr', shared: true, type: 'fake' });
      tx.create('SM', 'OpaqueRef:sm' as Ref<'SM'>, {
        type: 'fake',
        features: new Map([['VDI_SNAPSHOT', 1n]]),
      });
      for (let index = 0; index < count; index += 1) {
        const at = hostRef(index);
        const pbd = `OpaqueRef:pbd of ${at}` as Ref<'PBD'>;
        tx.create('PBD', pbd, { SR: sr, host: at, currently_attached: true });
      }
      tx.patch('pool', 'OpaqueRef:pool' as Ref<'pool'>, { default_SR: sr });
      options.rows?.(tx);
    },
  });
  const reports = made.hosts.map(({ invoker, store, services }) =>
    vmReports({ invoker, store, services, log: silentLog }),
  );
  for (const [i, one] of hypervisors.entries()) one.watch(reports[i] as VmReports);
  const row = (self: Ref<'VM'>): RecordNamed<'VM'> => made.store.latest.require('VM', self);
  return {
    ...made,
    hypervisors,
    reports,
    sr,
    row,
    newVm: async (fields = {}, on = sr) => {
      const self = await made.call('VM.create', vmFields(fields));
      const disk = {
        SR: on,
        virtual_size: gib,
        type: 'user',
        sharable: false,
        read_only: false,
        other_config: new Map(),
      };
      const vdi = await made.call('VDI.create', new Map<string, unknown>(Object.entries(disk)));
      await made.call('VBD.create', vbdFields({ VM: self, VDI: vdi, userdevice: '0' }));
      return self;
    },
    localSr: async ({ host: at }) => {
      const ref = `OpaqueRef:local to ${at}` as Ref<'SR'>;
      await made.store.commit((tx) => {
        tx.create('SR', ref, { uuid: ref, shared: false });
        const pbd = `OpaqueRef:local pbd of ${at}` as Ref<'PBD'>;
        tx.create('PBD', pbd, { SR: ref, host: at, currently_attached: true });
      });
      return ref;
    },
    runsOn: (self) =>
      made.hosts
        .filter((_, i) => {
          const power = hypervisors[i]?.machines.get(row(self).uuid)?.power;
          return power === 'Running' || power === 'Paused';
        })
        .map((one) => one.host),
    fault: (call) =>
      call.then(
        () => ['no fault'],
        (error) => [error.code, ...error.params],
      ),
  };
};
