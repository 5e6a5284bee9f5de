import type { RecordNamed } from '../../../src/model/class.ts';
import { nullRef, type Ref } from '../../../src/model/types.ts';
import type { Refusal } from '../../../src/objects/refusal.ts';
import type { View } from '../../../src/store/view.ts';
import type { Evacuee, Running } from './evacuation.ts';
import { afterMoves, type Layout, pack, type Sized, survives } from './packing.ts';

// What the planner asks the rows of a pool, and what it says of them.

/** VMs that are restarted when their host dies. */
export const isProtected = ({ ha_always_run, ha_restart_priority }: RecordNamed<'VM'>): boolean =>
  ha_always_run && ha_restart_priority === 'restart';

export const protectedVms = (view: View): readonly Ref<'VM'>[] =>
  [...view.all('VM')].filter(([, vm]) => isProtected(vm)).map(([ref]) => ref);

/** Bytes that a VM needs to start: all that it may ever ask for. */
const startBytes = (vm: RecordNamed<'VM'>): bigint => vm.memory_static_max + vm.memory_overhead;

/** Bytes that are free on a host once each of its guests has been squeezed as far as it goes. */
const freeBytes = (view: View, self: Ref<'host'>, host: RecordNamed<'host'>): bigint => {
  let free = (view.get('host_metrics', host.metrics)?.memory_total ?? 0n) - host.memory_overhead;
  for (const [, vm] of view.all('VM')) {
    if (vm.is_control_domain || (vm.resident_on !== self && vm.scheduled_to_be_resident_on !== self))
      continue;
    free -= vm.memory_dynamic_min + vm.memory_overhead;
  }
  return free > 0n ? free : 0n;
};

const isLive = (view: View, host: RecordNamed<'host'>): boolean =>
  host.enabled && view.get('host_metrics', host.metrics)?.live === true;

const liveHosts = (view: View): readonly Sized[] =>
  [...view.all('host')]
    .filter(([, host]) => isLive(view, host))
    .map(([ref, host]) => ({ name: ref, sizeBytes: freeBytes(view, ref, host) }));

/** Whether a VM can run on every host: all its disks and networks are reached from everywhere. */
export const isAgile = (view: View, vm: RecordNamed<'VM'>): boolean => {
  const disks = vm.VBDs.flatMap((ref) => view.get('VBD', ref) ?? []).filter(({ empty }) => !empty);
  const hosts = [...view.all('host')].length;
  return (
    disks.every(
      ({ VDI }) => view.get('SR', view.get('VDI', VDI)?.SR ?? (nullRef as Ref<'SR'>))?.shared === true,
    ) &&
    vm.VIFs.flatMap((ref) => view.get('VIF', ref) ?? []).every(({ network }) => {
      const there = (view.get('network', network)?.PIFs ?? []).map((ref) => view.get('PIF', ref)?.host);
      return new Set(there).size >= hosts;
    })
  );
};

/** What is asked of the planner beside the rows. */
export interface PlannedChange {
  /** VMs to think of as protected as well. */
  readonly newVms?: readonly Ref<'VM'>[];
}

export type PlanStatus = 'Plan_exists_for_all_VMs' | 'Plan_exists_excluding_non_agile_VMs' | 'No_plan_exists';

const homeOf = (vm: RecordNamed<'VM'>): Ref<'host'> | undefined => {
  if (vm.resident_on !== nullRef) return vm.resident_on;
  return vm.scheduled_to_be_resident_on === nullRef ? undefined : vm.scheduled_to_be_resident_on;
};

/** The layout once all VMs that should run do; undefined when those that do not yet run find no room. */
const settledLayout = (
  view: View,
  vms: readonly (readonly [Ref<'VM'>, RecordNamed<'VM'>])[],
): Layout | undefined => {
  const sizes = vms.map(([ref, vm]) => ({ name: ref, sizeBytes: startBytes(vm) }));
  const placement = vms.flatMap(([ref, vm]) => {
    const home = homeOf(vm);
    return home === undefined ? [] : [[ref, home] as const];
  });
  const layout = { hosts: liveHosts(view), vms: sizes, placement };
  const idle = sizes.filter(({ name }) => placement.every(([vm]) => vm !== name));
  const starts = pack(idle, layout.hosts);
  return starts.length === idle.length ? afterMoves(layout, starts) : undefined;
};

/** Whether every protected VM could be restarted, whichever hosts fail. VMs tied to one host cannot. */
export const planFor = (view: View, failures: number, { newVms = [] }: PlannedChange = {}): PlanStatus => {
  const wanted = [...new Set([...protectedVms(view), ...newVms])].map(
    (ref) => [ref, view.require('VM', ref)] as const,
  );
  const agile = wanted.filter(([, vm]) => isAgile(view, vm));
  const layout = settledLayout(view, agile);
  const hostsTotal = [...view.all('host')].length;
  if (layout === undefined || !survives({ ...layout, hostsTotal, failures })) return 'No_plan_exists';
  return agile.length === wanted.length ? 'Plan_exists_for_all_VMs' : 'Plan_exists_excluding_non_agile_VMs';
};

/** Refused only if it would take away a plan that there is now. */
export const newVmRefusal = (view: View, vm: Ref<'VM'>): Refusal | undefined => {
  const [pool] = view.all('pool');
  if (pool?.[1].ha_enabled !== true) return undefined;
  const failures = Number(pool[1].ha_host_failures_to_tolerate);
  if (planFor(view, failures) === 'No_plan_exists') return undefined;
  return planFor(view, failures, { newVms: [vm] }) === 'No_plan_exists'
    ? ['HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN']
    : undefined;
};

/** A cluster stack needs more than half of its members alive; hosts that are not members do not count. */
const failuresMax = (view: View): number => {
  const hosts = [...view.all('host')].map(([ref]) => ref);
  if ([...view.all('Cluster')].length === 0) return hosts.length;
  const members = [...view.all('Cluster_host')]
    .filter(([, { enabled }]) => enabled)
    .map(([, { host }]) => host);
  const outside = hosts.filter((host) => !members.includes(host)).length;
  return Math.max(0, Math.floor((hosts.length - outside - 1) / 2)) + outside;
};

/** The most host failures after which all protected VMs still run. */
export const failuresTolerated = (view: View): number => {
  let most = 0;
  const limit = failuresMax(view);
  while (most < limit && planFor(view, most + 1) === 'Plan_exists_for_all_VMs') most += 1;
  return most;
};

const apartFrom = (view: View, vm: RecordNamed<'VM'>): Ref<'VM_group'> | undefined =>
  vm.groups.find((group) => view.get('VM_group', group)?.placement === 'anti_affinity');

/** The VMs that leave a host when it is emptied. */
export const evacuees = (view: View, host: Ref<'host'>): readonly Evacuee[] =>
  [...view.all('VM')]
    .filter(([, vm]) => vm.resident_on === host && !vm.is_control_domain)
    .map(([ref, vm]) => {
      const group = apartFrom(view, vm);
      const sizeBytes = vm.memory_dynamic_min + vm.memory_overhead;
      return group === undefined ? { name: ref, sizeBytes } : { name: ref, sizeBytes, group };
    });

/** Hosts that can take them, with the room that each has. */
export const shelters = (view: View, host: Ref<'host'>): readonly Sized[] =>
  liveHosts(view).filter(({ name }) => name !== host);

/** How many running members of each group each host has. */
export const membersRunning = (view: View): Running => {
  const running = new Map<string, Map<string, number>>();
  for (const [, vm] of view.all('VM')) {
    const [group, host] = [apartFrom(view, vm), homeOf(vm)];
    if (group === undefined || host === undefined) continue;
    const counts = running.get(group) ?? new Map<string, number>();
    running.set(group, counts.set(host, (counts.get(host) ?? 0) + 1));
  }
  return running;
};
