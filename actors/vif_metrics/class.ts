import { defineClass, dyn, rw } from '../../src/model/class.ts';
import { datetime, float, string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const VIF_metrics = defineClass('VIF_metrics', {
  doc: 'Traffic of a virtual card as it was once kept here; now the round robin databases hold it.',
  since,
  writeRole: 'vm-admin',
  persist: false,
  removed: true,
  fields: {
    uuid: dyn(string, 'Names it for good.'),
    io_read_kbs: dyn(float, 'Kilobytes received per second; always 0.', {
      default: 0,
      persist: false,
      removed: true,
      column: 'io__read_kbs',
    }),
    io_write_kbs: dyn(float, 'Kilobytes sent per second; always 0.', {
      default: 0,
      persist: false,
      removed: true,
      column: 'io__write_kbs',
    }),
    last_updated: dyn(datetime, 'When the figures were taken.'),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    VIF_metrics: typeof VIF_metrics;
  }
}
