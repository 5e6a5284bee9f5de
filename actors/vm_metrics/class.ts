import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, datetime, float, int, map, set, string, stringMap } from '../../src/model/types.ts';
import { domainType } from '../enums.ts';
import { since } from './since.ts';

export const VM_metrics = defineClass('VM_metrics', {
  doc: 'What the host measures about a VM. Figures of halted VMs are those of their last run.',
  since,
  writeRole: 'vm-admin',
  fields: {
    uuid: dyn(string, 'Identity of this set of figures, not of the VM.'),
    memory_actual: dyn(int, 'Bytes of memory the guest holds right now.', {
      persist: false,
      column: 'memory__actual',
    }),
    VCPUs_number: dyn(int, 'Virtual CPUs that are online right now.', { column: 'VCPUs__number' }),
    VCPUs_utilisation: dyn(
      map(int, float),
      'No longer filled; read the recorded measurements of the VM for the load of its CPUs.',
      { default: new Map(), persist: false, removed: true, column: 'VCPUs__utilisation' },
    ),
    VCPUs_CPU: dyn(map(int, int), 'Physical CPU that each virtual CPU was last seen on.', {
      persist: false,
      column: 'VCPUs__CPU',
    }),
    VCPUs_params: dyn(stringMap, 'Scheduler settings in force for the running domain.', {
      persist: false,
      column: 'VCPUs__params',
    }),
    VCPUs_flags: dyn(
      map(int, set(string)),
      'Scheduler states of each virtual CPU, such as `online` or `blocked`.',
      { persist: false, column: 'VCPUs__flags' },
    ),
    state: dyn(set(string), 'Words on the state of the guest as the host sees it.', { persist: false }),
    start_time: dyn(datetime, 'When the guest last booted, in UTC.'),
    install_time: dyn(datetime, 'When the VM was made, in UTC; 1970 if that is not known.'),
    last_updated: dyn(datetime, 'When one of these figures last changed, in UTC.', { persist: false }),
    other_config: rw(stringMap, 'Free for clients; lost on a restart of the toolstack.', {
      default: new Map(),
      persist: false,
    }),
    hvm: dyn(bool, 'True if the domain runs with hardware virtualisation.', {
      default: false,
      persist: false,
    }),
    nested_virt: dyn(bool, 'True if the guest was booted with leave to run VMs of its own.', {
      default: false,
      persist: false,
    }),
    nomigrate: dyn(bool, 'True if the guest was booted such that it cannot be moved or suspended.', {
      default: false,
      persist: false,
    }),
    current_domain_type: dyn(
      domainType,
      "How the guest is virtualised right now; the VM's own field is for the next boot.",
      { default: 'unspecified' },
    ),
    numa_optimised: ro(bool, 'True if the memory of the guest was placed on as few NUMA nodes as possible.', {
      default: false,
    }),
    numa_nodes: ro(int, 'How many NUMA nodes hold memory of the guest.', { default: 0n }),
    numa_node_memory: dyn(map(int, int), 'Bytes of the guest on each NUMA node.', { default: new Map() }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VM_metrics: typeof VM_metrics;
  }
}
