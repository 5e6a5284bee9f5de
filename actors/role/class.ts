import { defineClass, dyn, ro } from '../../src/model/class.ts';
import { bool, label, ref, set, string } from '../../src/model/types.ts';
import { since } from './since.ts';

export const role = defineClass('role', {
  doc: 'A role or, below it, a single permission; both are fixed and built in.',
  since,
  writeRole: 'pool-admin',
  fields: {
    uuid: dyn(string, 'Follows from the name, hence the same in every pool.'),
    name_label: ro(label, 'Name of the role, or wire name of the message that the permission is for.', {
      default: '',
      column: 'name__label',
    }),
    name_description: ro(string, 'What the role is meant for.', { default: '', column: 'name__description' }),
    subroles: ro(set(ref('role')), 'What the role includes, which may be roles and permissions.', {
      default: [],
      gone: 'cleared',
    }),
    is_internal: dyn(bool, 'True for a role that no user can be given.', { default: false }),
  },
  messages: {
    get_permissions: {
      doc: 'All permissions of the role, those of its subroles included.',
      role: 'read-only',
      self: 'self',
      result: set(ref('role')),
    },
    get_permissions_name_label: {
      doc: 'Names of all permissions of the role, those of its subroles included.',
      role: 'read-only',
      self: 'self',
      result: set(string),
    },
    get_by_permission: {
      doc: 'Roles that hold the permission, which is itself a role.',
      role: 'read-only',
      self: 'permission',
      result: set(ref('role')),
    },
    get_by_permission_name_label: {
      doc: 'Roles that hold a permission of that name.',
      role: 'read-only',
      params: { label: [label, 'Wire name of the message, in lower case.'] },
      result: set(ref('role')),
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    role: typeof role;
  }
}
