import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, datetime, int, label, ref, string } from '../../src/model/types.ts';
import { actions } from './actions.ts';
import { since } from './since.ts';

export const blob = defineClass('blob', {
  doc: 'Binary data attached to an object and moved over HTTP, outside the database.',
  since,
  writeRole: 'pool-operator',
  allowance: { rowsMax: 1_000, bytesMax: 8 * 1_048_576 },
  fields: {
    uuid: dyn(string, 'Identity, which also names the file that holds the data.'),
    name_label: rw(label, 'Name shown to people; it need not be unique.', {
      default: '',
      column: 'name__label',
    }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      column: 'name__description',
    }),
    size: dyn(int, 'Bytes held; 0 until something is written.'),
    public: rw(bool, 'True lets anyone read it over HTTP without logging in.', { default: false }),
    last_updated: ro(datetime, 'When it was last written, in UTC.'),
    mime_type: ro(string, 'Media type to serve it with.'),
    holder: dyn(string, 'User who made it; empty: Xenact did, for something else.', {
      default: '',
      internal: true,
      ours: true,
      indexed: true,
    }),
  },
  actions,
  messages: {
    create: {
      doc: 'Makes an empty blob that is not attached to anything yet.',
      role: 'pool-operator',
      params: {
        mime_type: [string, 'Media type; empty means `application/octet-stream`.'],
        public: [bool, 'True lets anyone read it over HTTP without logging in.', false],
      },
      result: ref('blob'),
    },
    destroy: {
      frees: true,
      doc: 'Deletes the blob together with its data.',
      role: 'pool-operator',
      self: 'self',
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    blob: typeof blob;
  }
}
