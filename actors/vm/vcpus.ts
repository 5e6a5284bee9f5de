import type { Ref } from '../../src/model/types.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { changing, setting, type VmHandlers } from './handlers.ts';

/** What clients are told; they know it by these words. */
const rule = 'VCPU values must satisfy: 0 < VCPUs_at_startup ≤ VCPUs_max';

const isDomainZero = (view: View, self: Ref<'VM'>): boolean =>
  view.get('host', view.require('VM', self).resident_on)?.control_domain === self;

export const vcpus = {
  set_VCPUs_max: changing('changing_VCPUs', (tx, self, { value }) => {
    const atLeast = tx.require('VM', self).VCPUs_at_startup;
    if (value < 1n || value < atLeast) throw new Fault('INVALID_VALUE', [rule, String(value)]);
    tx.patch('VM', self, { VCPUs_max: value });
  }),
  // Also while the guest runs: it counts from the next start.
  set_VCPUs_at_startup: setting((tx, self, { value }) => {
    if (isDomainZero(tx, self)) {
      throw new Fault('OPERATION_NOT_ALLOWED', ['set_VCPUs_at_startup is not allowed on dom0']);
    }
    const atMost = tx.require('VM', self).VCPUs_max;
    if (value < 1n || value > atMost) throw new Fault('INVALID_VALUE', [rule, String(value)]);
    tx.patch('VM', self, { VCPUs_at_startup: value });
  }),
  set_VCPUs_number_live: {
    operation: 'changing_VCPUs_live',
    work: async (working, { nvcpu }) => {
      const { VCPUs_max, uuid, metrics } = working.record;
      if (nvcpu < 1n || nvcpu > VCPUs_max) throw new Fault('INVALID_VALUE', ['nvcpu', String(nvcpu)]);
      const how = xenopsWork(working, 'VM.set_VCPUs_number_live');
      const { hypervisor } = working.services;
      await asked('VM.set_VCPUs_number_live', hypervisor.setVcpus(uuid, Number(nvcpu), how));
      working.settle((tx) => {
        tx.patch('VM', working.self, { VCPUs_at_startup: nvcpu });
        if (tx.get('VM_metrics', metrics) !== undefined)
          tx.patch('VM_metrics', metrics, { VCPUs_number: nvcpu });
      });
    },
  },
} satisfies VmHandlers;
