import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { ref, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const crashdump = defineClass('crashdump', {
  doc: 'Memory of a guest that crashed, kept on a disk; none are made any more.',
  since,
  writeRole: 'pool-operator',
  needs: ['VM', 'VDI'],
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    VM: ro(ref('VM'), 'VM whose guest crashed.', { inverse: 'VM.crash_dumps', gone: 'collected' }),
    VDI: ro(ref('VDI'), 'Disk with the memory.', { inverse: 'VDI.crash_dumps', gone: 'goes too' }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  messages: {
    destroy: {
      doc: 'Delete the dump together with its disk.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    crashdump: typeof crashdump;
  }
}
