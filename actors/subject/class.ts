import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { label, type Ref, ref, set, string, stringMap, upTo } from '../../src/model/types.ts';
import { since } from './since.ts';

/** The role `pool-admin`. References of roles follow from their names, so this one never changes. */
const poolAdmin = 'OpaqueRef:0165f154-ba3e-034e-6b27-5d271af109ba' as Ref<'role'>;

export const subject = defineClass('subject', {
  doc: 'A user who may log in to this pool: one of its own, or a user or group of a directory.',
  since,
  writeRole: 'pool-admin',
  constructible: true,
  fields: {
    uuid: dyn(string, 'Names the entry in this pool, not in the directory.'),
    subject_identifier: ro(
      label,
      'Name of a user of the pool; or what the directory knows the user or group by, as its SID.',
      { default: '' },
    ),
    other_config: ro(
      upTo(stringMap, 65_536),
      'What the directory told of the subject when it was added, such as its full name.',
      { default: new Map() },
    ),
    roles: dyn(
      set(ref('role')),
      'Roles of everyone the subject stands for; new subjects have none, and cannot log in before they do.',
      { default: [poolAdmin], gone: 'cleared' },
    ),
  },
  messages: {
    add_to_roles: {
      doc: 'Give the subject one more role, at once also in sessions that are open.',
      role: 'pool-admin',
      self: 'self',
      params: { role: [ref('role'), 'Role that the subject does not have yet.'] },
    },
    remove_from_roles: {
      frees: true,
      doc: 'Take a role away, at once also from sessions that are open.',
      role: 'pool-admin',
      self: 'self',
      params: { role: [ref('role'), 'Role that the subject has.'] },
    },
    get_permissions_name_label: {
      doc: "Names of all permissions that the subject's roles add up to.",
      role: 'read-only',
      self: 'self',
      result: set(string),
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    subject: typeof subject;
  }
}
