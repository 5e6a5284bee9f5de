import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, datetime, int, label, ref, string, upTo } from '../../src/model/types.ts';
import { actions } from './actions.ts';
import { since } from './since.ts';

/** Of one blob: it is a row, which every host of the pool has. */
export const blobBytesMax = 1_048_576;
/** As they are kept, in Base64. */
const keptBytesMax = 4 * Math.ceil(blobBytesMax / 3);

export const blob = defineClass('blob', {
  doc: 'Binary data attached to an object and moved over HTTP.',
  since,
  writeRole: 'pool-operator',
  allowance: { rowsMax: 1_000, bytesMax: 8 * 1_048_576 },
  fields: {
    uuid: dyn(string, 'Identity.'),
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
    data: dyn(upTo(string, keptBytesMax), 'The bytes, in Base64.', {
      default: '',
      internal: true,
      ours: true,
    }),
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
