import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { float, int, ref, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const host_cpu = defineClass('host_cpu', {
  doc: 'One logical processor of a host. Superseded by the map `host.cpu_info`.',
  since,
  writeRole: 'pool-operator',
  needs: ['host'],
  fields: {
    uuid: dyn(string, 'Names this row for good.'),
    host: dyn(ref('host'), 'Host that the processor is part of.', {
      inverse: 'host.host_CPUs',
      gone: 'collected',
    }),
    number: dyn(int, 'Counts from 0 within the host.'),
    vendor: dyn(string, 'Maker as the processor itself spells it, such as `GenuineIntel`.'),
    speed: dyn(int, 'Clock rate in MHz as measured at boot.'),
    modelname: dyn(string, 'Marketing name as the processor itself tells it.'),
    family: dyn(int, 'CPUID family number.'),
    model: dyn(int, 'CPUID model number.'),
    stepping: dyn(string, 'Revision of the silicon.'),
    flags: dyn(string, 'Feature names separated by spaces, as in `/proc/cpuinfo`.'),
    features: dyn(string, 'Feature words in hexadecimal, which decide whether a VM can move between hosts.'),
    utilisation: dyn(float, 'Share of time the processor was busy, from 0 to 1.', { persist: false }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    host_cpu: typeof host_cpu;
  }
}
