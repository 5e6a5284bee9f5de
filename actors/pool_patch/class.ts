import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, int, label, nullRef, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';
import { actions } from './actions.ts';
import { since } from './since.ts';

export const afterApplyGuidance = oneOf('after_apply_guidance', [
  'restartHVM',
  'restartPV',
  'restartHost',
  'restartXAPI',
]);

export const pool_patch = defineClass('pool_patch', {
  doc: 'A patch file from before updates came as disk images; each one stands beside its `pool_update`.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Identity, chosen by whoever made the patch.'),
    name_label: ro(label, 'Name shown to people.', { default: '', column: 'name__label' }),
    name_description: ro(string, 'What the patch mends.', { default: '', column: 'name__description' }),
    version: ro(string, 'Version of the patch.', { default: '' }),
    filename: dyn(string, 'Path of the uploaded file on the coordinator.', { default: '', internal: true }),
    size: dyn(int, 'Bytes of the uploaded file.', { default: 0n }),
    pool_applied: dyn(bool, 'True once every host of the pool has the patch.', { default: false }),
    host_patches: dyn(set(ref('host_patch')), 'Where it is recorded, host by host.', {
      inverse: 'host_patch.pool_patch',
      computed: true,
    }),
    after_apply_guidance: dyn(
      set(afterApplyGuidance),
      'What has to be restarted before the patch takes effect.',
      { default: [] },
    ),
    pool_update: ro(ref('pool_update'), 'The update that this patch is the older view of.', {
      default: nullRef,
      gone: 'cleared',
    }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  actions,
  messages: {
    apply: {
      doc: 'Apply the patch on one host and answer with what the patch printed.',
      role: 'pool-operator',
      self: 'self',
      params: { host: [ref('host'), 'Host to patch.'] },
      result: string,
      async: true,
    },
    pool_apply: {
      doc: 'Apply the patch on every host of the pool that lacks it.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    precheck: {
      doc: 'Ask whether the patch could be applied on a host, without changing anything.',
      role: 'pool-operator',
      self: 'self',
      params: { host: [ref('host'), 'Host to ask.'] },
      result: string,
      async: true,
    },
    clean: {
      doc: 'Delete the uploaded file, and keep the record of the patch.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    pool_clean: {
      doc: 'Delete the file of the patch from every host of the pool.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    destroy: {
      doc: 'Delete the file and the record of a patch that no host has applied.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    clean_on_host: {
      doc: 'Delete the file of the patch from one host.',
      role: 'pool-operator',
      self: 'self',
      params: { host: [ref('host'), 'Host to tidy.'] },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    pool_patch: typeof pool_patch;
  }
}
