import { asked, xenopsWork } from '../../src/objects/hypervisor-work.ts';
import { demand, type Refusal } from '../../src/objects/refusal.ts';
import { Fault } from '../../src/std/fault.ts';
import { changing, type VmHandlers } from './handlers.ts';

/** More than any hypervisor gives a guest. */
const vcpusMax = 1024n;

export const vcpuRefusal = (max: bigint, atStartup: bigint): Refusal | undefined => {
  if (max < 1n || max > vcpusMax) return ['INVALID_VALUE', 'VCPUs_max', String(max)];
  return atStartup < 1n || atStartup > max
    ? ['INVALID_VALUE', 'VCPUs_at_startup', String(atStartup)]
    : undefined;
};

export const vcpus = {
  set_VCPUs_max: changing('changing_VCPUs', (tx, self, { value }) => {
    demand(vcpuRefusal(value, tx.require('VM', self).VCPUs_at_startup));
    tx.patch('VM', self, { VCPUs_max: value });
  }),
  set_VCPUs_at_startup: changing('changing_VCPUs', (tx, self, { value }) => {
    demand(vcpuRefusal(tx.require('VM', self).VCPUs_max, value));
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
