import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { label, ref, set, string } from '../../src/model/types.ts';

export const PVS_site = defineClass('PVS_site', {
  doc: 'A group of Citrix Provisioning servers, from which VMs stream their disks.',
  since: 'ely',
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Identity of the site in this pool.'),
    name_label: rw(label, 'Name shown to people; it need not be unique.', {
      default: '',
      column: 'name__label',
    }),
    name_description: rw(string, 'Free text shown beside the name.', {
      default: '',
      column: 'name__description',
    }),
    PVS_uuid: ro(string, 'Identity that the provisioning servers themselves have for the site.', {
      default: '',
    }),
    cache_storage: dyn(set(ref('PVS_cache_storage')), 'Where the hosts keep what was streamed already.', {
      default: [],
      inverse: 'PVS_cache_storage.site',
      gone: 'cleared',
    }),
    servers: dyn(set(ref('PVS_server')), 'Servers that belong to the site.', {
      inverse: 'PVS_server.site',
      computed: true,
    }),
    proxies: dyn(set(ref('PVS_proxy')), 'Proxies that stream from the site.', {
      inverse: 'PVS_proxy.site',
      computed: true,
    }),
  },
  messages: {
    introduce: {
      doc: 'Makes a site known to the pool.',
      role: 'pool-operator',
      params: {
        name_label: [label, 'Name to show to people.'],
        name_description: [string, 'Text to show beside the name.'],
        PVS_uuid: [string, 'Identity that the provisioning servers have for it.'],
      },
      result: ref('PVS_site'),
      async: true,
    },
    forget: {
      doc: 'Forgets a site that has neither servers nor running proxies.',
      role: 'pool-operator',
      self: 'self',
      errors: ['PVS_SITE_CONTAINS_RUNNING_PROXIES', 'PVS_SITE_CONTAINS_SERVERS'],
      async: true,
    },
    set_PVS_uuid: {
      doc: 'Records the identity that the provisioning servers have for the site.',
      role: 'pool-operator',
      self: 'self',
      params: {
        value: [string, 'That identity.'],
      },
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PVS_site: typeof PVS_site;
  }
}
