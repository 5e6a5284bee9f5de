import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { bool, datetime, int, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const host_metrics = defineClass('host_metrics', {
  doc: 'What changes often about a host. Kept apart, so that watching a host stays cheap.',
  since,
  writeRole: 'pool-operator',
  needs: ['host.metrics'],
  fields: {
    uuid: dyn(string, 'Names this row, not the host.'),
    memory_total: dyn(
      int,
      'All memory of the host in bytes, that of the hypervisor and the control domain included.',
      { column: 'memory__total' },
    ),
    memory_free: dyn(
      int,
      'Memory in bytes that no domain uses. Ask `host.compute_free_memory` for what VMs can get.',
      { default: 0n, removed: true, column: 'memory__free' },
    ),
    live: dyn(bool, 'False once the host has missed its heartbeats for too long.'),
    last_updated: dyn(datetime, 'When these values were last measured.'),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    host_metrics: typeof host_metrics;
  }
}
