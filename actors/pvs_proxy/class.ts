import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { bool, nullRef, oneOf, ref, string } from '../../src/model/types.ts';

export const pvsProxyStatus = oneOf('pvs_proxy_status', [
  'stopped',
  'initialised',
  'caching',
  'incompatible_write_cache_mode',
  'incompatible_protocol_version',
]);

export const PVS_proxy = defineClass('PVS_proxy', {
  doc: 'Caches on the host what the VM behind a VIF streams from a Citrix Provisioning site.',
  since: 'ely',
  writeRole: 'pool-operator',
  fields: {
    uuid: dyn(string, 'Identity of the proxy.'),
    site: ro(ref('PVS_site'), 'Site that it streams from.', {
      default: nullRef,
      inverse: 'PVS_site.proxies',
      gone: 'goes too',
    }),
    VIF: ro(ref('VIF'), 'Interface whose traffic it caches.', { default: nullRef, gone: 'goes too' }),
    currently_attached: dyn(bool, 'True while it works for a running VM.', { default: false }),
    status: dyn(pvsProxyStatus, 'What the proxy is doing, and why it caches nothing if it does not.', {
      default: 'stopped',
    }),
  },
  messages: {
    create: {
      doc: 'Sets up a proxy for an interface of a VM.',
      role: 'pool-operator',
      params: {
        site: [ref('PVS_site'), 'Site that the VM streams from.'],
        VIF: [ref('VIF'), 'Interface to serve, which must be the first one of its VM.'],
      },
      result: ref('PVS_proxy'),
      async: true,
    },
    destroy: {
      doc: 'Removes the proxy; the VM goes on streaming without it.',
      role: 'pool-operator',
      self: 'self',
      async: true,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    PVS_proxy: typeof PVS_proxy;
  }
}
