import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { label, ref, set, string, stringMap } from '../../src/model/types.ts';

export const USB_group = defineClass('USB_group', {
  doc: 'Equal USB devices in the pool; a VM asks a group for a device.',
  since: 'inverness',
  writeRole: 'pool-admin',
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
    PUSBs: dyn(set(ref('PUSB')), 'Devices in the group.', { inverse: 'PUSB.USB_group', computed: true }),
    VUSBs: dyn(set(ref('VUSB')), 'Virtual devices that are served from the group.', {
      inverse: 'VUSB.USB_group',
      computed: true,
    }),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.', { default: new Map() }),
  },
  messages: {
    create: {
      doc: 'Makes an empty group of devices.',
      role: 'pool-admin',
      params: {
        name_label: [label, 'Name to show to people.', ''],
        name_description: [string, 'Text to show beside the name.', ''],
        other_config: [stringMap, 'Settings of clients.', new Map()],
      },
      result: ref('USB_group'),
      async: true,
    },
    destroy: {
      doc: 'Deletes the group.',
      role: 'pool-admin',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    USB_group: typeof USB_group;
  }
}
