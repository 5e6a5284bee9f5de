import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { string, stringMap } from '../../src/model/types.ts';
import { since } from './since.ts';

export const user = defineClass('user', {
  doc: 'A local account. Superseded by `subject`; only root is left.',
  since,
  writeRole: 'pool-admin',
  constructible: true,
  listed: false,
  events: false,
  fields: {
    uuid: dyn(string, 'Names the account for good.'),
    short_name: ro(string, 'Name used to log in.'),
    fullname: rw(string, 'Name of the person.'),
    other_config: rw(stringMap, 'Free for clients.', { default: new Map() }),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    user: typeof user;
  }
}
