import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { nullRef, ref, set, string } from '../../src/model/types.ts';

export const Host_driver = defineClass('Host_driver', {
  doc: 'A device driver on a host that is installed in several variants.',
  since: '25.2.0',
  writeRole: 'pool-admin',
  fields: {
    uuid: dyn(string, 'Identity of the entry.'),
    host: ro(ref('host'), 'Host that the driver is installed on.', { default: nullRef, gone: 'goes too' }),
    name: dyn(string, 'Name of the driver, as the kernel has it.'),
    friendly_name: dyn(string, 'Name of the driver for people.'),
    variants: dyn(set(ref('Driver_variant')), 'Variants that are installed.', {
      inverse: 'Driver_variant.driver',
      computed: true,
    }),
    active_variant: dyn(ref('Driver_variant'), 'Variant that is loaded now; null if none is.', {
      gone: 'cleared',
    }),
    selected_variant: dyn(
      ref('Driver_variant'),
      'Variant that is loaded at the next start of the host; null if none was chosen.',
      { gone: 'cleared' },
    ),
    type: dyn(string, 'Kind of device that the driver is for, such as `network` or `storage`.'),
    description: dyn(string, 'What the driver is for.'),
    info: dyn(string, 'More about the driver, such as where to read on.'),
  },
  messages: {
    select: {
      doc: 'Chooses the variant to load from the next start of the host on.',
      role: 'pool-admin',
      self: 'self',
      params: {
        variant: [ref('Driver_variant'), 'Variant of this driver.'],
      },
      async: true,
    },
    deselect: {
      doc: 'Chooses none of the variants, so that the driver of the kernel is used from the next start on.',
      role: 'pool-admin',
      self: 'self',
      async: true,
    },
    rescan: {
      doc: 'Looks again which drivers and variants are installed on a host.',
      role: 'pool-admin',
      params: {
        host: [ref('host'), 'Host to look at.'],
      },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Host_driver: typeof Host_driver;
  }
}
