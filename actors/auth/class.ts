import { defineClass } from '../../src/model/class.ts';
import { label, set, string, stringMap } from '../../src/model/types.ts';

export const auth = defineClass('auth', {
  doc: 'Questions to the directory service (such as Active Directory) that the pool uses for logins.',
  since: 'george',
  writeRole: 'read-only',
  inDatabase: false,
  persist: false,
  listed: false,
  events: false,
  fields: {},
  messages: {
    get_subject_identifier: {
      doc: 'Security identifier of a user or group of the directory.',
      role: 'read-only',
      params: { subject_name: [label, 'Name, as the directory knows it.'] },
      result: string,
    },
    get_subject_information_from_identifier: {
      doc: 'What the directory says of a user or group: names, account flags and so on.',
      role: 'read-only',
      params: { subject_identifier: [label, 'Security identifier to look up.'] },
      result: stringMap,
    },
    get_group_membership: {
      doc: 'Security identifiers of all groups that a user or group is in, nested ones included.',
      role: 'read-only',
      params: { subject_identifier: [label, 'Security identifier to look up.'] },
      result: set(string),
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    auth: typeof auth;
  }
}
