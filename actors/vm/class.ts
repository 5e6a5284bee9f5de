import { defineClass } from '../../src/model/class.ts';
import { actions } from './actions.ts';
import { fields } from './fields.ts';
import { lifecycle } from './messages/lifecycle.ts';
import { placement } from './messages/placement.ts';
import { resources } from './messages/resources.ts';
import { settings } from './messages/settings.ts';
import { since } from './since.ts';

export const VM = defineClass('VM', {
  doc: 'A virtual machine, and also a template, a snapshot or a control domain: flags tell which.',
  since,
  writeRole: 'vm-admin',
  constructible: true,
  takes: ['metrics', 'guest_metrics', 'blobs'],
  fields,
  actions,
  messages: { ...lifecycle, ...resources, ...placement, ...settings },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VM: typeof VM;
  }
}
