import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { int, label, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const allocationAlgorithm = oneOf('allocation_algorithm', ['breadth_first', 'depth_first']);

export const GPU_group = defineClass('GPU_group', {
  doc: 'Physical GPUs of one kind in the pool; a VM asks a group for a GPU and gets one of any host.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Identity of the group.'),
    name_label: rw(label, 'Name shown to people; it need not be unique.', {
      default: '',
      column: 'name__label',
    }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      column: 'name__description',
    }),
    PGPUs: dyn(set(ref('PGPU')), 'Physical GPUs in the group.', {
      inverse: 'PGPU.GPU_group',
      computed: true,
    }),
    VGPUs: dyn(set(ref('VGPU')), 'Virtual GPUs that are served from the group.', {
      inverse: 'VGPU.GPU_group',
      computed: true,
    }),
    GPU_types: dyn(set(string), 'Vendor and device numbers of the PCI devices that fit into the group.', {
      default: [],
    }),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.', { default: new Map() }),
    allocation_algorithm: rw(
      allocationAlgorithm,
      '`breadth_first` spreads virtual GPUs over the physical ones, `depth_first` fills one before the next.',
      { default: 'depth_first' },
    ),
    supported_VGPU_types: dyn(
      set(ref('VGPU_type')),
      'Types that at least one GPU of the group is able to serve.',
      { inverse: 'VGPU_type.supported_on_GPU_groups', gone: 'cleared' },
    ),
    enabled_VGPU_types: dyn(
      set(ref('VGPU_type')),
      'Types that at least one GPU of the group is allowed to serve.',
      { inverse: 'VGPU_type.enabled_on_GPU_groups', gone: 'cleared' },
    ),
  },
  messages: {
    create: {
      doc: 'Makes an empty group.',
      role: 'pool-operator',
      params: {
        name_label: [label, 'Name to show to people.', ''],
        name_description: [string, 'Text to show beside the name.', ''],
        other_config: [stringMap, 'Settings of clients.', new Map()],
      },
      result: ref('GPU_group'),
      async: true,
    },
    destroy: {
      doc: 'Deletes a group that no GPU is in.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    update_enabled_VGPU_types: {
      doc: 'Works out again which types the GPUs of the group are allowed to serve.',
      role: 'pool-operator',
      self: 'self',
      async: true,
      hidden: true,
    },
    update_supported_VGPU_types: {
      doc: 'Works out again which types the GPUs of the group are able to serve.',
      role: 'pool-operator',
      self: 'self',
      async: true,
      hidden: true,
    },
    get_remaining_capacity: {
      doc: 'Returns how many more virtual GPUs of a type the group could serve now.',
      role: 'read-only',
      self: 'self',
      params: {
        vgpu_type: [ref('VGPU_type'), 'Type to count.'],
      },
      result: int,
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    GPU_group: typeof GPU_group;
  }
}
