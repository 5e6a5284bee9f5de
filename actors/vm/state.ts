import type { VmState } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import { dateTimeOf, epoch, nullRef, type Ref } from '../../src/model/types.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { protocolNames } from '../../src/rules/consoles.ts';
import { vbdKey, vifKey } from '../../src/rules/guest-devices.ts';
import { own } from '../../src/std/own.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { guestMetricsOf } from './guest-agent.ts';

/** Devices of a VM by the hypervisor's key, and whether each is plugged. */
export interface Plugged {
  readonly vbds: ReadonlyMap<string, boolean>;
  readonly vifs: ReadonlyMap<string, boolean>;
}

export interface Arrival {
  readonly services: Services;
  /** Told of a guest that became live without anybody having asked for it. */
  readonly plugged?: Plugged;
}

const domainTypes: Readonly<Record<string, RecordNamed<'VM_metrics'>['current_domain_type']>> = {
  Domain_HVM: 'hvm',
  Domain_PV: 'pv',
  Domain_PVinPVH: 'pv_in_pvh',
  Domain_PVH: 'pvh',
};

/** A drive whose key cannot be told has no place in the guest either. */
const keyOrNone = (vbd: RecordNamed<'VBD'>, vm: RecordNamed<'VM'>): string => {
  try {
    return vbdKey(vbd, vm);
  } catch {
    return '';
  }
};

export const vbdByKey = (view: View, self: Ref<'VM'>, key: string): Ref<'VBD'> | undefined => {
  const vm = view.require('VM', self);
  return vm.VBDs.find((ref) => {
    const vbd = view.get('VBD', ref);
    return vbd !== undefined && (vbd.device === key || keyOrNone(vbd, vm) === key);
  });
};

export const vifByKey = (view: View, self: Ref<'VM'>, key: string): Ref<'VIF'> | undefined =>
  view.require('VM', self).VIFs.find((ref) => {
    const vif = view.get('VIF', ref);
    return vif !== undefined && vifKey(vif) === key;
  });

const showConsoles = (tx: Tx, self: Ref<'VM'>, state: VmState, { services }: Arrival): void => {
  const wanted = new Map(state.consoles.map((one) => [protocolNames[one.protocol], one]));
  for (const ref of tx.require('VM', self).consoles) {
    const row = tx.get('console', ref);
    const port = row === undefined || row.protocol === 'rdp' ? undefined : wanted.get(row.protocol)?.port;
    if (row === undefined || row.protocol === 'rdp' || port === undefined) {
      tx.delete('console', ref);
      continue;
    }
    wanted.delete(row.protocol);
    const location = `https://${services.authority()}/console?uuid=${row.uuid}`;
    tx.patch('console', ref, { port: BigInt(port), location });
  }
  for (const [protocol, { port }] of wanted) {
    const uuid = services.random.uuid();
    const location = `https://${services.authority()}/console?uuid=${uuid}`;
    tx.create('console', newRef<'console'>(services), {
      uuid,
      protocol,
      location,
      VM: self,
      port: BigInt(port),
    });
  }
};

/** What of a processor the guest has seen, and so needs wherever it goes on. */
const noteProcessor = (tx: Tx, self: Ref<'VM'>, { featureset }: VmState, { services }: Arrival): void => {
  const vendor = tx.get('host', services.host)?.cpu_info.get('vendor');
  if (featureset === '' || vendor === undefined) return;
  const last_boot_CPU_flags = new Map([
    ['vendor', vendor],
    ['features', featureset],
  ]);
  tx.patch('VM', self, { last_boot_CPU_flags });
};

const measure = (tx: Tx, self: Ref<'VM'>, state: VmState, { services }: Arrival): void => {
  const vm = tx.require('VM', self);
  let metrics = vm.metrics;
  if (tx.get('VM_metrics', metrics) === undefined) {
    metrics = newRef<'VM_metrics'>(services);
    tx.create('VM_metrics', metrics, { uuid: services.random.uuid(), install_time: epoch });
    tx.patch('VM', self, { metrics });
  }
  const before = tx.require('VM_metrics', metrics);
  tx.patch('VM_metrics', metrics, {
    memory_actual: state.memory_actual,
    VCPUs_number: BigInt(state.vcpu_target),
    start_time: dateTimeOf(state.last_start_time * 1000),
    hvm: state.hvm,
    nomigrate: state.nomigrate,
    nested_virt: state.nested_virt,
    current_domain_type: own(domainTypes, state.domain_type) ?? 'unspecified',
    VCPUs_params: vm.VCPUs_params,
    state: state.power_state === 'Running' ? ['running'] : ['paused'],
  });
  if (tx.require('VM_metrics', metrics) !== before) {
    tx.patch('VM_metrics', metrics, { last_updated: dateTimeOf(services.clock.now()) });
  }
};

const dropAgent = (tx: Tx, self: Ref<'VM'>): void => {
  const { guest_metrics } = tx.require('VM', self);
  if (guest_metrics === nullRef) return;
  tx.delete('VM_guest_metrics', guest_metrics);
  tx.patch('VM', self, { guest_metrics: nullRef as Ref<'VM_guest_metrics'> });
};

const hearAgent = (tx: Tx, self: Ref<'VM'>, state: VmState, { services }: Arrival): void => {
  const told = guestMetricsOf(state);
  if (told === undefined) return;
  const known = tx.require('VM', self).guest_metrics;
  const last_updated = dateTimeOf(services.clock.now());
  const before = tx.get('VM_guest_metrics', known);
  if (before === undefined) {
    const made = newRef<'VM_guest_metrics'>(services);
    tx.create('VM_guest_metrics', made, { uuid: services.random.uuid(), ...told, last_updated });
    tx.patch('VM', self, { guest_metrics: made });
    return;
  }
  tx.patch('VM_guest_metrics', known, told);
  if (tx.require('VM_guest_metrics', known) === before) return;
  tx.patch('VM_guest_metrics', known, { last_updated });
  // What the VM and its devices can do follows from what its agent says.
  tx.touch('VM', self);
};

const plugRows = (tx: Tx, self: Ref<'VM'>, { vbds, vifs }: Plugged): void => {
  for (const [key, currently_attached] of vbds) {
    const ref = vbdByKey(tx, self, key);
    if (ref !== undefined) tx.patch('VBD', ref, { currently_attached, device: key });
  }
  for (const [key, currently_attached] of vifs) {
    const ref = vifByKey(tx, self, key);
    if (ref !== undefined) tx.patch('VIF', ref, { currently_attached });
  }
};

/** The rows of a VM that has a domain on this host, as the hypervisor reports it. */
export const becomeLive = (tx: Tx, self: Ref<'VM'>, state: VmState, arrival: Arrival): void => {
  const { host } = arrival.services;
  const before = tx.require('VM', self).power_state;
  if (before === 'Halted') dropAgent(tx, self);
  tx.patch('VM', self, {
    power_state: state.power_state,
    domid: BigInt(state.domids[0] ?? -1),
    resident_on: host,
    scheduled_to_be_resident_on: nullRef as Ref<'host'>,
    memory_target: state.memory_target,
  });
  showConsoles(tx, self, state, arrival);
  noteProcessor(tx, self, state, arrival);
  measure(tx, self, state, arrival);
  hearAgent(tx, self, state, arrival);
  if (arrival.plugged !== undefined) plugRows(tx, self, arrival.plugged);
};
