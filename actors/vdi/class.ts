import { defineClass } from '../../src/model/class.ts';
import { actions } from './actions.ts';
import { fields } from './fields.ts';
import { messages } from './messages.ts';
import { since } from './since.ts';

export const VDI = defineClass('VDI', {
  doc: 'A virtual disk in a storage repository. A VBD puts it into a VM.',
  since,
  writeRole: 'vm-admin',
  constructible: true,
  needs: ['SR'],
  fields,
  actions,
  messages,
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VDI: typeof VDI;
  }
}
