import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, int, map, nullRef, ref, set, string, stringMap } from '../../src/model/types.ts';
import { pciDom0Access } from '../enums.ts';
import { since } from './since.ts';

export const PGPU = defineClass('PGPU', {
  doc: 'A graphics processor of a host, which guests can have whole or in shares.',
  since,
  writeRole: 'pool-operator',
  needs: ['host'],
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    PCI: ro(ref('PCI'), 'Device that the processor is on the PCI bus.', {
      default: nullRef,
      gone: 'cleared',
    }),
    GPU_group: ro(ref('GPU_group'), 'Group from which guests are given processors.', {
      default: nullRef,
      inverse: 'GPU_group.PGPUs',
      gone: 'cleared',
    }),
    host: dyn(ref('host'), 'Host that the processor is in.', {
      default: nullRef,
      inverse: 'host.PGPUs',
      gone: 'collected',
    }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
    supported_VGPU_types: dyn(
      set(ref('VGPU_type')),
      'Kinds of virtual processors that it can be shared into.',
      { inverse: 'VGPU_type.supported_on_PGPUs', gone: 'cleared' },
    ),
    enabled_VGPU_types: dyn(
      set(ref('VGPU_type')),
      'Kinds of virtual processors that it may be shared into.',
      { inverse: 'VGPU_type.enabled_on_PGPUs', gone: 'cleared' },
    ),
    resident_VGPUs: dyn(set(ref('VGPU')), 'Virtual processors that run on it now.', {
      inverse: 'VGPU.resident_on',
      computed: true,
    }),
    size: ro(int, 'Capacity altogether, in the unit in which kinds state their size.', {
      default: 1048576n,
      internal: true,
    }),
    supported_VGPU_max_capacities: dyn(
      map(ref('VGPU_type'), int),
      'Greatest number of virtual processors of each kind.',
      { default: new Map(), gone: 'cleared' },
    ),
    dom0_access: dyn(
      pciDom0Access,
      'Whether the host itself has it. Superseded by `PCI.get_dom0_access_status`.',
      { default: 'enabled' },
    ),
    is_system_display_device: dyn(bool, 'True if the screen of the host hangs on it.', { default: false }),
    compatibility_metadata: dyn(
      stringMap,
      'Facts that tell whether a running guest could move to another processor.',
      { default: new Map() },
    ),
  },
  messages: {
    add_enabled_VGPU_types: {
      doc: 'Allow one more kind of virtual processor.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [ref('VGPU_type'), 'Kind to allow.'] },
      async: true,
    },
    remove_enabled_VGPU_types: {
      doc: 'Stop allowing one kind of virtual processor.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [ref('VGPU_type'), 'Kind to stop allowing.'] },
      async: true,
    },
    set_enabled_VGPU_types: {
      doc: 'Replace the kinds of virtual processors that are allowed.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [set(ref('VGPU_type')), 'Kinds to allow.'] },
      async: true,
    },
    set_GPU_group: {
      doc: 'Move the processor to another group.',
      role: 'pool-operator',
      self: 'self',
      params: { value: [ref('GPU_group'), 'The group it goes to.'] },
      async: true,
    },
    get_remaining_capacity: {
      doc: 'How many more virtual processors of a kind it has room for.',
      role: 'read-only',
      self: 'self',
      params: { vgpu_type: [ref('VGPU_type'), 'Kind to count.'] },
      result: int,
      async: true,
    },
    enable_dom0_access: {
      doc: 'Give the processor back to the host itself. Superseded by `PCI.enable_dom0_access`.',
      role: 'pool-operator',
      self: 'self',
      result: pciDom0Access,
      async: true,
    },
    disable_dom0_access: {
      doc: 'Hide the processor from the host itself. Superseded by `PCI.disable_dom0_access`.',
      role: 'pool-operator',
      self: 'self',
      result: pciDom0Access,
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PGPU: typeof PGPU;
  }
}
