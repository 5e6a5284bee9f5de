import type { Fate, Fates } from './fate.ts';

/** A copy of any kind, or a revert, which copies from the snapshot. */
export const metricsOrigins = ['copy'] as const;
export type MetricsOrigin = (typeof metricsOrigins)[number];

const row = <const T extends Fate>(copy: T, why: string) => ({ copy, why });
const figure = row('copied', 'A figure of the guest that was.');
const identity = row('made', 'Identity.');

export const vmMetricsFates = {
  uuid: identity,
  memory_actual: figure,
  VCPUs_number: figure,
  VCPUs_utilisation: figure,
  VCPUs_CPU: figure,
  VCPUs_params: figure,
  VCPUs_flags: figure,
  state: figure,
  start_time: figure,
  install_time: figure,
  last_updated: figure,
  other_config: figure,
  hvm: figure,
  nested_virt: figure,
  nomigrate: figure,
  current_domain_type: figure,
  numa_optimised: figure,
  numa_nodes: figure,
  numa_node_memory: figure,
} as const satisfies Fates<'VM_metrics', MetricsOrigin>;

export const guestMetricsFates = {
  uuid: identity,
  os_version: figure,
  netbios_name: figure,
  PV_drivers_version: figure,
  PV_drivers_up_to_date: figure,
  memory: figure,
  disks: figure,
  networks: figure,
  other: figure,
  last_updated: figure,
  other_config: figure,
  live: figure,
  can_use_hotplug_vbd: figure,
  can_use_hotplug_vif: figure,
  PV_drivers_detected: figure,
  services: figure,
} as const satisfies Fates<'VM_guest_metrics', MetricsOrigin>;
