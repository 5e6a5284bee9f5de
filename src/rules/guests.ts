import type { RecordNamed } from '../model/class.ts';
import type { View } from '../store/view.ts';

/** What is known of the guest in a VM: what it runs on and what it says it can do. */
export interface GuestFacts {
  /** There is a domain, running or paused. */
  readonly live: boolean;
  /** Known to have booted with paravirtualisation, so that it needs no drivers to be told anything. */
  readonly bootedPv: boolean;
  readonly hasDrivers: boolean;
  readonly metrics: RecordNamed<'VM_metrics'> | undefined;
  readonly agent: RecordNamed<'VM_guest_metrics'> | undefined;
}

/** Values of maps that stand for yes or no. */
export const isTrue = (value: string | undefined): boolean =>
  value === '1' || value?.toLowerCase() === 'true';
export const isFalse = (value: string | undefined): boolean =>
  value === '0' || value?.toLowerCase() === 'false';

export const guestOf = (view: View, vm: RecordNamed<'VM'>): GuestFacts => {
  const metrics = view.get('VM_metrics', vm.metrics);
  const agent = view.get('VM_guest_metrics', vm.guest_metrics);
  const booted = metrics?.current_domain_type;
  return {
    live: vm.power_state === 'Running' || vm.power_state === 'Paused',
    bootedPv: booted === 'pv' || booted === 'pv_in_pvh' || booted === 'pvh',
    hasDrivers: agent !== undefined && (agent.PV_drivers_detected || agent.PV_drivers_version.size > 0),
    metrics,
    agent,
  };
};

/** Whether a disk or a card can be plugged while the guest runs. `unknown`: it has no drivers to take it. */
export const hotplug = (guest: GuestFacts, device: 'vbd' | 'vif'): 'yes' | 'no' | 'unknown' => {
  if (guest.bootedPv) return 'yes';
  const said = guest.agent?.[`can_use_hotplug_${device}`] ?? 'unspecified';
  if (said !== 'unspecified') return said;
  return guest.hasDrivers ? 'yes' : 'unknown';
};

/** Operations of a VM under which its devices cannot be unplugged as well. */
export const leaving = ['clean_shutdown', 'hard_shutdown', 'suspend', 'pause'] as const;
