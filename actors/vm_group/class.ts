import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { label, oneOf, ref, set, string } from '../../src/model/types.ts';

export const placementPolicy = oneOf('placement_policy', ['anti_affinity', 'normal']);

export const VM_group = defineClass('VM_group', {
  doc: 'VMs that are placed with regard to each other.',
  since: '24.19.1',
  writeRole: 'vm-admin',
  constructible: true,
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
    placement: ro(
      placementPolicy,
      '`anti_affinity` spreads the VMs over the hosts where that is possible, `normal` does nothing.',
      { default: 'normal' },
    ),
    VMs: dyn(set(ref('VM')), 'Members of the group.', { inverse: 'VM.groups', gone: 'cleared' }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VM_group: typeof VM_group;
  }
}
