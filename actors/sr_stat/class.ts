import { defineClass, dyn } from '../../src/model/class.ts';
import { bool, int, oneOf, option, string } from '../../src/model/types.ts';

export const srHealth = oneOf('sr_health', ['healthy', 'recovering', 'unreachable', 'unavailable']);

export const sr_stat = defineClass('sr_stat', {
  doc: 'How a storage repository does, as its driver reports it. Only part of other answers.',
  since: 'kolkata',
  writeRole: '_local_root_',
  inDatabase: false,
  persist: false,
  listed: false,
  events: false,
  fields: {
    uuid: dyn(option(string), 'Identity of the repository; left out where the storage carries none.'),
    name_label: dyn(string, 'Name that the storage carries.'),
    name_description: dyn(string, 'Text that the storage carries beside the name.'),
    free_space: dyn(int, 'Bytes that are free.'),
    total_space: dyn(int, 'Bytes altogether.'),
    clustered: dyn(bool, 'True if the storage is kept by a cluster.'),
    health: dyn(srHealth, 'Whether the storage can be used.'),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    sr_stat: typeof sr_stat;
  }
}
