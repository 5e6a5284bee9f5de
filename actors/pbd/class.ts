import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, ref, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const PBD = defineClass('PBD', {
  doc: 'The connection of one host to one storage repository.',
  since,
  writeRole: 'pool-operator',
  constructible: true,
  needs: ['host', 'SR'],
  fields: {
    uuid: dyn(string, 'Identity of the connection.'),
    host: ro(ref('host'), 'Host at one end.', { inverse: 'host.PBDs', gone: 'collected' }),
    SR: ro(ref('SR'), 'Repository at the other end.', { inverse: 'SR.PBDs', gone: 'collected' }),
    device_config: ro(
      stringMap,
      'Where the storage is, as its driver wants to be told; passwords are held in secrets.',
    ),
    currently_attached: dyn(bool, 'True while the host has the repository attached.'),
    other_config: rw(stringMap, 'Free for clients to keep their own settings in.', { default: new Map() }),
  },
  messages: {
    plug: {
      doc: 'Attaches the repository to the host.',
      role: 'pool-operator',
      self: 'self',
      errors: ['SR_UNKNOWN_DRIVER'],
      async: true,
    },
    unplug: {
      frees: true,
      doc: 'Detaches the repository from the host; none of its disks may be in use there.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    set_device_config: {
      doc: 'Replaces the settings for the driver, which reads them at the next plug.',
      role: 'pool-operator',
      self: 'self',
      params: {
        value: [stringMap, 'The new settings.'],
      },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PBD: typeof PBD;
  }
}
