import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, datetime, int, label, nullRef, ref, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const host_patch = defineClass('host_patch', {
  doc: 'A patch on one host, from before updates came as disk images.',
  since,
  writeRole: 'pool-operator',
  needs: ['host', 'pool_patch'],
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    name_label: ro(label, 'Name shown to people.', { default: '', column: 'name__label' }),
    name_description: ro(string, 'What the patch mends.', { default: '', column: 'name__description' }),
    version: ro(string, 'Version of the patch.'),
    host: ro(ref('host'), 'Host that the patch is for.', { inverse: 'host.patches', gone: 'collected' }),
    filename: dyn(string, 'Path of the file on that host.', { internal: true }),
    applied: dyn(bool, 'True if the host has the patch.'),
    timestamp_applied: dyn(datetime, 'When it was applied.'),
    size: dyn(int, 'Bytes of the file.'),
    pool_patch: ro(ref('pool_patch'), 'The patch as the whole pool knows it.', {
      default: nullRef,
      inverse: 'pool_patch.host_patches',
      gone: 'collected',
    }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  messages: {
    destroy: {
      doc:
        'Delete the file and the record of a patch that was not applied. ' +
        'Superseded by `pool_patch.destroy`.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    apply: {
      doc: 'Apply the patch and answer with what it printed. Superseded by `pool_patch.apply`.',
      role: 'pool-operator',
      self: 'self',
      result: string,
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    host_patch: typeof host_patch;
  }
}
