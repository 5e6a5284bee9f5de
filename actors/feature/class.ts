import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { bool, label, ref, string } from '../../src/model/types.ts';

export const Feature = defineClass('Feature', {
  doc: 'An optional part of the product on a host, which can be on or off.',
  since: 'falcon',
  writeRole: '_local_root_',
  needs: ['host'],
  fields: {
    uuid: dyn(string, 'Identity of the entry.'),
    name_label: ro(label, 'Name of the feature, for people and for programs that look for it.', {
      default: '',
      column: 'name__label',
    }),
    name_description: ro(string, 'What the feature does.', { default: '', column: 'name__description' }),
    enabled: dyn(bool, 'True if it is on.', { default: false }),
    experimental: ro(bool, 'True if it is offered without promise of support.', { default: false }),
    version: ro(string, 'Version of the feature.', { default: '1.0' }),
    host: dyn(ref('host'), 'Host that the entry is about.', { inverse: 'host.features', gone: 'collected' }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    Feature: typeof Feature;
  }
}
