import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { int, map, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const imageFormatType = oneOf('image_format_type', ['raw', 'vhd', 'qcow2']);

export const SM = defineClass('SM', {
  doc: 'A storage driver that is installed on the hosts of the pool.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, "Identity of the driver's entry in this pool."),
    name_label: dyn(string, 'Name of the driver for people.', { default: '', column: 'name__label' }),
    name_description: dyn(string, 'What kind of storage the driver is for.', {
      default: '',
      column: 'name__description',
    }),
    type: dyn(string, 'Short name that goes into `SR.type`, such as `nfs` or `lvm`.'),
    vendor: dyn(string, 'Who made the driver.'),
    copyright: dyn(string, 'Copyright line of its maker.'),
    version: dyn(string, 'Version of the driver.'),
    required_api_version: dyn(
      string,
      'Version of the storage interface that the driver was written against.',
    ),
    configuration: dyn(stringMap, 'Keys that `device_config` takes, each with a word of explanation.'),
    capabilities: dyn(
      set(string),
      'Names of the features, without their versions; older clients read this.',
      { default: [] },
    ),
    features: dyn(
      map(string, int),
      'What the driver can do on every host of the pool, with the version of each feature.',
      { default: new Map() },
    ),
    host_pending_features: dyn(
      map(ref('host'), set(string)),
      'Features that some hosts have and others still lack, by host.',
      { default: new Map(), internal: true, gone: 'cleared' },
    ),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.', { default: new Map() }),
    driver_filename: dyn(string, "File name of the driver's program on the hosts.", { default: '' }),
    required_cluster_stack: dyn(
      set(string),
      'Cluster stacks of which one must be running; empty when none is needed.',
      { default: [] },
    ),
    supported_image_formats: dyn(
      set(imageFormatType),
      'Disk image formats it can make, the preferred one first.',
      { default: [] },
    ),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    SM: typeof SM;
  }
}
