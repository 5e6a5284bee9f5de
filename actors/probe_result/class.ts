import { defineClass, dyn } from '../../src/model/class.ts';
import { bool, option, record, stringMap } from '../../src/model/types.ts';

export const probe_result = defineClass('probe_result', {
  doc: 'Storage that a driver found at a place. Only part of other answers.',
  since: 'kolkata',
  writeRole: '_local_root_',
  inDatabase: false,
  persist: false,
  listed: false,
  events: false,
  fields: {
    configuration: dyn(stringMap, 'Settings that lead to it, for `SR.create` or the next question.'),
    complete: dyn(bool, 'True if the settings suffice to make or attach a repository.'),
    sr: dyn(option(record('sr_stat')), 'The repository that is there; left out if there is none.'),
    extra_info: dyn(stringMap, 'What else the driver has to say, by name.'),
  },
  messages: {},
});

declare module '../../src/model/class.ts' {
  interface Classes {
    probe_result: typeof probe_result;
  }
}
