import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { bool, map, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';

export const vusbOperations = oneOf('vusb_operations', ['attach', 'plug', 'unplug']);

export const VUSB = defineClass('VUSB', {
  doc: 'A USB device as a VM sees it, served by a real device of a group.',
  since: 'inverness',
  writeRole: 'pool-admin',
  fields: {
    uuid: dyn(string, 'Identity of the virtual device.'),
    allowed_operations: dyn(
      set(vusbOperations),
      'Operations that would be admitted now; a hint for clients.',
      { default: [], persist: false },
    ),
    current_operations: dyn(
      map(string, vusbOperations),
      'What runs on it at this moment, by the task that runs it.',
      { default: new Map(), persist: false },
    ),
    VM: dyn(ref('VM'), 'Machine that it belongs to.', { inverse: 'VM.VUSBs', gone: 'goes too' }),
    USB_group: dyn(ref('USB_group'), 'Group whose device serves it.', {
      inverse: 'USB_group.VUSBs',
      gone: 'goes too',
    }),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.', { default: new Map() }),
    currently_attached: dyn(bool, 'True while it is plugged into a running VM.', { default: false }),
  },
  messages: {
    create: {
      doc: 'Gives a USB device to a VM, which sees it from its next start.',
      role: 'pool-admin',
      params: {
        VM: [ref('VM'), 'Machine to give it to.'],
        USB_group: [ref('USB_group'), 'Group whose device is to serve it.'],
        other_config: [stringMap, 'Settings of clients.', new Map()],
      },
      result: ref('VUSB'),
      async: true,
    },
    unplug: {
      doc: 'Takes the device out of the running VM.',
      role: 'pool-admin',
      self: 'self',
      async: true,
    },
    destroy: {
      doc: 'Removes a virtual device that is not plugged.',
      role: 'pool-admin',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VUSB: typeof VUSB;
  }
}
