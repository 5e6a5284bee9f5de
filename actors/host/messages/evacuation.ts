import type { Messages } from '../../../src/model/class.ts';
import { float, int, map, nullRef, record, ref, set, string } from '../../../src/model/types.ts';

/** Measurements, and moving VMs away. */
export const evacuation = {
  get_data_sources: {
    doc: 'What can be measured on the host and whether it is recorded.',
    role: 'read-only',
    self: 'host',
    result: set(record('data_source')),
  },
  record_data_source: {
    doc: 'Begin to record a measurement.',
    role: 'pool-operator',
    self: 'host',
    params: { data_source: [string, 'Name of the measurement.'] },
  },
  query_data_source: {
    doc: 'Latest value of a measurement.',
    role: 'read-only',
    self: 'host',
    params: { data_source: [string, 'Name of the measurement.'] },
    result: float,
  },
  forget_data_source_archives: {
    doc: 'Stop recording a measurement and delete its past.',
    role: 'pool-operator',
    self: 'host',
    params: { data_source: [string, 'Name of the measurement.'] },
  },
  assert_can_evacuate: {
    frees: true,
    doc: 'Fail with the reason if some VM could not leave the host.',
    role: 'pool-operator',
    self: 'host',
    async: true,
  },
  get_vms_which_prevent_evacuation: {
    frees: true,
    doc: 'VMs that could not leave the host, each with the fault that says why.',
    role: 'read-only',
    self: 'self',
    result: map(ref('VM'), set(string)),
    async: true,
  },
  get_uncooperative_resident_VMs: {
    doc: 'VMs here that do not give up memory when asked to.',
    role: 'read-only',
    self: 'self',
    result: set(ref('VM')),
    async: true,
  },
  get_uncooperative_domains: {
    doc: 'Uuids of VMs here that do not give up memory when asked to.',
    role: '_local_root_',
    self: 'self',
    result: set(string),
    async: true,
    poolInternal: true,
    hidden: true,
  },
  evacuate: {
    frees: true,
    doc: 'Move all VMs to other hosts, live.',
    role: 'pool-operator',
    certificate: true,
    self: 'host',
    params: {
      network: [ref('network'), 'Network to move them over; null for the management network.', nullRef],
      evacuate_batch_size: [int, 'How many at once; 0 for the usual number.', 0n],
    },
    async: true,
  },
} as const satisfies Messages;
