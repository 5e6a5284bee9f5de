import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { int, nullRef, ref, string } from '../../src/model/types.ts';

export const PVS_cache_storage = defineClass('PVS_cache_storage', {
  doc: 'Where one host keeps what its VMs streamed from one Citrix Provisioning site.',
  since: 'ely',
  writeRole: 'pool-operator',
  constructible: true,
  fields: {
    uuid: dyn(string, 'Identity of the entry.'),
    host: ro(ref('host'), 'Host that keeps the cache.', { default: nullRef, gone: 'goes too' }),
    SR: ro(ref('SR'), 'Repository in which the disk of the cache is made.', {
      default: nullRef,
      gone: 'goes too',
    }),
    site: ro(ref('PVS_site'), 'Site whose data it caches.', {
      default: nullRef,
      inverse: 'PVS_site.cache_storage',
      gone: 'goes too',
    }),
    size: ro(int, 'Most bytes that the cache takes.', { default: 20n * 1024n ** 3n }),
    VDI: dyn(ref('VDI'), 'Disk that holds the cache; null until one is made.', {
      default: nullRef,
      gone: 'cleared',
    }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PVS_cache_storage: typeof PVS_cache_storage;
  }
}
