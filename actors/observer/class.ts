import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { bool, label, ref, set, string, stringMap } from '../../src/model/types.ts';

export const Observer = defineClass('Observer', {
  doc: 'Says which parts of which hosts record traces of their work, and where the traces go.',
  since: '23.14.0',
  writeRole: 'pool-admin',
  constructible: true,
  fields: {
    uuid: dyn(string, 'Identity of the observer.'),
    name_label: rw(label, 'Name shown to people; it need not be unique.', {
      default: '',
      column: 'name__label',
    }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      column: 'name__description',
    }),
    hosts: ro(set(ref('host')), 'Hosts that are observed; empty for all.', { default: [], gone: 'cleared' }),
    attributes: ro(stringMap, 'Keys and values that are added to each trace.', { default: new Map() }),
    endpoints: ro(
      set(string),
      'Where traces go: `bugtool` for files on the host, or the URL of a collector.',
      { default: [] },
    ),
    components: ro(set(string), 'Parts of the toolstack that are observed; empty for all.', { default: [] }),
    enabled: ro(bool, 'True if traces are recorded.', { default: false }),
  },
  messages: {
    register: {
      doc: 'Makes the components of a host aware of the observer.',
      role: 'pool-admin',
      self: 'self',
      params: {
        host: [ref('host'), 'Host to tell.'],
      },
      async: true,
      hidden: true,
    },
    unregister: {
      doc: 'Makes the components of a host forget the observer.',
      role: 'pool-admin',
      self: 'self',
      params: {
        host: [ref('host'), 'Host to tell.'],
      },
      async: true,
      hidden: true,
    },
    set_hosts: {
      doc: 'Chooses the hosts that are observed.',
      role: 'pool-admin',
      self: 'self',
      params: {
        value: [set(ref('host')), 'The hosts; empty for all.'],
      },
      async: true,
    },
    set_enabled: {
      doc: 'Starts or stops the recording of traces.',
      role: 'pool-admin',
      self: 'self',
      params: {
        value: [bool, 'True to record.'],
      },
      async: true,
    },
    set_attributes: {
      doc: 'Replaces the keys and values that are added to each trace.',
      role: 'pool-admin',
      self: 'self',
      params: {
        value: [stringMap, 'The new ones.'],
      },
      async: true,
    },
    set_endpoints: {
      doc: 'Chooses where traces go.',
      role: 'pool-admin',
      self: 'self',
      params: {
        value: [set(string), '`bugtool`, URLs of collectors, or both.'],
      },
      async: true,
    },
    set_components: {
      doc: 'Chooses the parts of the toolstack that are observed.',
      role: 'pool-admin',
      self: 'self',
      params: {
        value: [set(string), 'Their names; empty for all.'],
      },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Observer: typeof Observer;
  }
}
