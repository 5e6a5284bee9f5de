import { defineClass, dyn } from '../../src/model/class.ts';
import { bool, float, ref, string } from '../../src/model/types.ts';

export const Driver_variant = defineClass('Driver_variant', {
  doc: 'One variant of a device driver on a host.',
  since: '25.2.0',
  writeRole: 'pool-admin',
  fields: {
    uuid: dyn(string, 'Identity of the entry.'),
    name: dyn(string, 'Name of the variant, unique within its driver.'),
    driver: dyn(ref('Host_driver'), 'Driver that this is a variant of.', {
      inverse: 'Host_driver.variants',
      gone: 'goes too',
    }),
    version: dyn(string, 'Version of the variant.'),
    hardware_present: dyn(bool, 'True if the host has a device that the variant is for.'),
    priority: dyn(float, 'The variant with the highest number is recommended.'),
    status: dyn(string, 'How far the variant is tested, such as `production` or `testing`.'),
  },
  messages: {
    select: {
      doc: 'Chooses this variant for its driver, from the next start of the host on.',
      role: 'pool-admin',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Driver_variant: typeof Driver_variant;
  }
}
