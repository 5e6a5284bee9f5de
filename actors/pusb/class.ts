import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, float, nullRef, ref, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const PUSB = defineClass('PUSB', {
  doc: 'A USB device that is plugged into a host.',
  since,
  writeRole: 'pool-admin',
  needs: ['host', 'USB_group'],
  fields: {
    uuid: dyn(string, 'Identity of the device in this pool.'),
    USB_group: ro(ref('USB_group'), 'Group of equal devices that it is in.', {
      default: nullRef,
      inverse: 'USB_group.PUSBs',
      gone: 'collected',
    }),
    host: ro(ref('host'), 'Host that it is plugged into.', {
      default: nullRef,
      inverse: 'host.PUSBs',
      gone: 'collected',
    }),
    path: ro(string, 'Bus and ports by which the host finds it, such as `1-2`.', { default: '' }),
    vendor_id: ro(string, 'Number of its maker, in hexadecimal.', { default: '' }),
    vendor_desc: ro(string, 'Name of its maker.', { default: '' }),
    product_id: ro(string, 'Number of the product, in hexadecimal.', { default: '' }),
    product_desc: ro(string, 'Name of the product.', { default: '' }),
    serial: ro(string, 'Serial number, if the device tells one.', { default: '' }),
    version: ro(string, 'Version of USB that it speaks.', { default: '' }),
    description: ro(string, 'One line that describes it to people.', { default: '' }),
    passthrough_enabled: dyn(bool, 'True if it may be given to a VM.', { default: false }),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.', { default: new Map() }),
    speed: ro(float, 'Megabits per second at which it is connected; negative if that is not known.', {
      default: -1,
    }),
  },
  messages: {
    scan: {
      doc: 'Looks which USB devices are plugged into a host, and brings their records up to date.',
      role: 'pool-admin',
      params: {
        host: [ref('host'), 'Host to look at.'],
      },
      async: true,
    },
    set_passthrough_enabled: {
      doc: 'Says whether the device may be given to a VM.',
      role: 'pool-admin',
      self: 'self',
      params: {
        value: [bool, 'True to allow it.'],
      },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PUSB: typeof PUSB;
  }
}
