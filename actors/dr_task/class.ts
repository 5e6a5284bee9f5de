import { defineClass, dyn } from '../../src/model/class.ts';
import { ref, set, string, stringMap } from '../../src/model/types.ts';

export const DR_task = defineClass('DR_task', {
  doc: 'A look into the replicated storage of another site, from which its VMs can be recovered.',
  since: 'boston',
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    introduced_SRs: dyn(set(ref('SR')), 'Repositories that were attached for the purpose.', {
      inverse: 'SR.introduced_by',
      computed: true,
    }),
  },
  messages: {
    create: {
      doc: 'Attach the replicated repositories that a device holds.',
      role: 'pool-operator',
      params: {
        type: [string, 'Driver of the repositories.'],
        device_config: [stringMap, 'Where the storage is, as its driver wants it.'],
        whitelist: [set(string), 'Device identities of the only repositories to attach.'],
      },
      result: ref('DR_task'),
      async: true,
    },
    destroy: {
      doc: 'Detach and forget the repositories that are not in use by recovered VMs.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    DR_task: typeof DR_task;
  }
}
