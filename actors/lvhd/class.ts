import { defineClass, dyn } from '../../src/model/class.ts';
import { int, ref, string } from '../../src/model/types.ts';

export const LVHD = defineClass('LVHD', {
  doc: 'Repositories that keep disks as volumes on one block device.',
  since: 'dundee',
  writeRole: 'pool-admin',
  listed: false,
  fields: {
    uuid: dyn(string, 'Names it for good.'),
  },
  messages: {
    enable_thin_provisioning: {
      doc: 'Turn a repository of full volumes into one whose volumes grow as they fill.',
      role: 'pool-admin',
      params: {
        host: [ref('host'), 'Host to do it on.'],
        SR: [ref('SR'), 'Repository to turn.'],
        initial_allocation: [int, 'Bytes that a new volume starts with.'],
        allocation_quantum: [int, 'Bytes that a volume grows by.'],
      },
      result: string,
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    LVHD: typeof LVHD;
  }
}
