import { defineClass, dyn } from '../../src/model/class.ts';
import { bool, float, string } from '../../src/model/types.ts';

export const data_source = defineClass('data_source', {
  doc: 'A figure that is measured of a VM, host or repository. Only part of other answers.',
  since: 'orlando',
  writeRole: 'pool-admin',
  inDatabase: false,
  persist: false,
  listed: false,
  events: false,
  fields: {
    name_label: dyn(string, 'Name by which the figure is asked for.', { default: '', column: 'name__label' }),
    name_description: dyn(string, 'What the figure tells.', { default: '', column: 'name__description' }),
    enabled: dyn(bool, 'True if its course is recorded.'),
    standard: dyn(bool, 'True if its course is recorded unless somebody turns it off.'),
    units: dyn(string, 'Unit of the figure.'),
    min: dyn(float, 'Least value it can have.'),
    max: dyn(float, 'Greatest value it can have.'),
    value: dyn(float, 'Value now; not a number if it is not known.'),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    data_source: typeof data_source;
  }
}
