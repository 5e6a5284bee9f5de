import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, int, label, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';
import { actions } from './actions.ts';
import { since } from './since.ts';

export const updateAfterApplyGuidance = oneOf('update_after_apply_guidance', [
  'restartHVM',
  'restartPV',
  'restartHost',
  'restartXAPI',
]);
export const livepatchStatus = oneOf('livepatch_status', [
  'ok_livepatch_complete',
  'ok_livepatch_incomplete',
  'ok',
]);

export const pool_update = defineClass('pool_update', {
  doc: 'An update of the hosts that comes as a disk image, applied host by host.',
  since,
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Identity, chosen by whoever made the update.'),
    name_label: ro(label, 'Name shown to people.', { default: '', column: 'name__label' }),
    name_description: ro(string, 'What the update brings.', { default: '', column: 'name__description' }),
    version: ro(string, 'Version of the update.', { default: '' }),
    installation_size: ro(int, 'Bytes that it needs on the disk of each host.', { default: 0n }),
    key: ro(label, 'Key that it was signed with.', { default: '' }),
    after_apply_guidance: ro(
      set(updateAfterApplyGuidance),
      'What has to be restarted before the update takes effect.',
      { default: [] },
    ),
    vdi: ro(ref('VDI'), 'Disk that the update is read from.', { gone: 'cleared' }),
    hosts: dyn(set(ref('host')), 'Hosts that have it.', { inverse: 'host.updates', gone: 'cleared' }),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
    enforce_homogeneity: ro(bool, 'True if either all hosts of the pool must have it or none.', {
      default: false,
    }),
  },
  actions,
  messages: {
    introduce: {
      doc: 'Make an update known from a disk that holds its image.',
      role: 'pool-operator',
      params: { vdi: [ref('VDI'), 'Disk with the image.'] },
      result: ref('pool_update'),
      async: true,
    },
    precheck: {
      doc: 'Ask whether the update could be applied on a host, and whether live patches would do.',
      role: 'pool-operator',
      self: 'self',
      params: { host: [ref('host'), 'Host to ask.'] },
      result: livepatchStatus,
      async: true,
    },
    apply: {
      doc: 'Apply the update on one host.',
      role: 'pool-operator',
      self: 'self',
      params: { host: [ref('host'), 'Host to update.'] },
      async: true,
    },
    pool_apply: {
      doc: 'Apply the update on every host of the pool that lacks it.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    pool_clean: {
      doc: 'Delete the files of the update from every host of the pool, and keep its record.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    destroy: {
      doc: 'Delete the record of an update that no host has applied.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
    attach: {
      doc: 'Let the image be read by hosts over HTTP, and answer with its address.',
      role: 'pool-operator',
      self: 'self',
      params: { use_localhost_proxy: [bool, 'True to read it by way of a proxy on the host itself.', false] },
      result: string,
      async: true,
      hidden: true,
    },
    detach: {
      doc: 'Stop serving the image and unplug its disk.',
      role: 'pool-operator',
      self: 'self',
      async: true,
      hidden: true,
    },
    resync_host: {
      doc: 'Bring the records of a host into line with the updates found on it.',
      role: 'pool-operator',
      params: { host: [ref('host'), 'Host to look at.'] },
      async: true,
      hidden: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    pool_update: typeof pool_update;
  }
}
