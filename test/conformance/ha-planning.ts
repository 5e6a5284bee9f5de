import { evacuationPlan, spreadEvenly, withoutBreach } from '../../actors/pool/ha/evacuation.ts';
import type { Move } from '../../actors/pool/ha/packing.ts';
import {
  evacuees,
  failuresTolerated,
  membersRunning,
  newVmRefusal,
  planFor,
  protectedVms,
  shelters,
} from '../../actors/pool/ha/planning.ts';
import type { Ref } from '../../src/model/types.ts';
import type { View } from '../../src/store/view.ts';
import { type Adapter, against, byCall } from './subject.ts';
import { type Rows, viewOfRows } from './vm-rows.ts';

type Fields = Readonly<Record<string, any>>;

/** Rows of a pool as a case describes it, with shared and local storage and networks on every host. */
interface Plan {
  readonly rows: Rows;
  readonly put: (cls: string, ref: string, fields: Record<string, unknown>) => string;
}

const emptyPlan = (): Plan => {
  const rows: Rows = {};
  return {
    rows,
    put: (cls, ref, fields) => {
      rows[cls] = { ...rows[cls], [ref]: fields };
      return ref;
    },
  };
};

const placements: Fields = { AntiAffinity: 'anti_affinity', Normal: 'normal' };

const addVm = ({ put }: Plan, vm: Fields, ref: string, host: string, local: string): void => {
  const memory = BigInt(vm['memory_bytes (static_min=dynamic_min=dynamic_max=static_max)']);
  const vbds = vm['VBDs on shared SR'].map((shared: boolean, i: number) => {
    const vdi = put('VDI', `${ref}/vdi${i}`, { SR: shared ? 'shared' : `${local}/sr` });
    return put('VBD', `${ref}/vbd${i}`, { VM: ref, VDI: vdi });
  });
  const vifs = vm['VIFs on shared network'].map((shared: boolean, i: number) =>
    put('VIF', `${ref}/vif${i}`, { VM: ref, network: shared ? 'shared' : `${local}/network` }),
  );
  const groups = vm['groups'].map((group: Fields) =>
    put('VM_group', group['name_label'], { placement: placements[group['placement']] ?? 'normal' }),
  );
  put('VM', ref, {
    name_label: vm['name'],
    ha_always_run: vm['ha_always_run'],
    ha_restart_priority: vm['ha_restart_priority'],
    memory_static_min: memory,
    memory_dynamic_min: memory,
    memory_dynamic_max: memory,
    memory_static_max: memory,
    power_state: vm['power_state'] === 'running' ? 'Running' : 'Halted',
    resident_on: host,
    VBDs: vbds,
    VIFs: vifs,
    groups,
  });
};

const addHost = (plan: Plan, host: Fields, name: string): void => {
  const { put } = plan;
  put('host_metrics', `${name}/metrics`, { live: true, memory_total: BigInt(host['memory_total']) });
  put('host', name, { name_label: host['name'], enabled: true, metrics: `${name}/metrics` });
  put('SR', `${name}/sr`, { shared: false });
  put('PIF', `${name}/pif`, { host: name, network: 'shared' });
  put('PIF', `${name}/local`, { host: name, network: `${name}/network` });
  put('network', `${name}/network`, { PIFs: [`${name}/local`] });
  host['resident VMs'].forEach((vm: Fields, i: number) => {
    addVm(plan, vm, `${name}/vm${i}`, name, name);
  });
};

/** The view, and the VM that the case is about beside those of the pool. */
const viewOf = (pool: Fields, newVm?: Fields): View => {
  const plan = emptyPlan();
  const hosts: readonly Fields[] = [pool['coordinator'], ...pool['members']];
  for (const host of hosts) addHost(plan, host, host['name']);
  plan.put('SR', 'shared', { shared: true });
  plan.put('network', 'shared', { PIFs: hosts.map((host) => `${host['name']}/pif`) });
  plan.put('pool', 'pool', {
    ha_enabled: true,
    ha_host_failures_to_tolerate: BigInt(pool['ha_host_failures_to_tolerate']),
  });
  const members: number = pool['hosts with a Cluster_host'];
  if (members > 0) plan.put('Cluster', 'cluster', {});
  for (const host of hosts.slice(0, members)) {
    plan.put('Cluster_host', `${host['name']}/member`, { host: host['name'], enabled: true, joined: true });
  }
  if (newVm !== undefined) addVm(plan, newVm, 'new', 'OpaqueRef:NULL', hosts[0]?.['name']);
  return viewOfRows(plan.rows);
};

const nameOf = (view: View, vm: string): string => view.require('VM', vm as Ref<'VM'>).name_label;

const evacuating =
  (plan: typeof spreadEvenly): Adapter =>
  ({ given, when, then }) => {
    const view = viewOf(given['pool']);
    const host: string = when['evacuate'];
    const leaving = evacuees(view, host as Ref<'host'>);
    const moves = plan(leaving, shelters(view, host as Ref<'host'>), membersRunning(view));
    const named = moves.map(([vm, to]: Move) => [nameOf(view, vm), to]);
    return against([...named].sort(), [...then['plan (vm, host)']].sort());
  };

export const haPlanning = byCall({
  'list all HA-protected VMs': ({ given }) => {
    const view = viewOf(given['pool']);
    const names = protectedVms(view).map((vm) => nameOf(view, vm));
    return { 'names (sorted)': names.sort() };
  },
  plan_for_n_failures: ({ given, when }) => ({ result: planFor(viewOf(given['pool']), when['n']) }),
  assert_new_vm_preserves_ha_plan: ({ given, when }) => {
    const refusal = newVmRefusal(viewOf(given['pool'], when['vm']), 'new' as Ref<'VM'>);
    return refusal === undefined ? { ok: true } : { error: refusal };
  },
  'pool.ha_compute_max_host_failures_to_tolerate': ({ given }) => ({
    value: failuresTolerated(viewOf(given['pool'])),
  }),
  compute_spread_evenly_plan: evacuating(spreadEvenly),
  compute_no_breach_plan: evacuating(withoutBreach),
  compute_anti_aff_evac_plan: evacuating(evacuationPlan),
});
