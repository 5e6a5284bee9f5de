import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { rightsOf } from '../../src/objects/roles.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { rolesOfSubject } from '../../src/rules/local-users.ts';
import { Fault } from '../../src/std/fault.ts';
import { subject } from './class.ts';

export const subjectsMax = 2_000;

const self = ({ self: ref }: { readonly self: Ref }): Ref<'subject'> => ref as Ref<'subject'>;

const assertRole = ({ tx }: Deciding, role: Ref<'role'>): void => {
  const found = tx.get('role', role);
  if (found === undefined || found.is_internal) throw new Fault('ROLE_NOT_FOUND');
};

export default implement(
  subject,
  {},
  {
    create: {
      decide: ({ tx, services }: Deciding, fields: Partial<RecordNamed<'subject'>>) => {
        const known = [...tx.all('subject')];
        if (known.some(([, { subject_identifier: sid }]) => sid === fields.subject_identifier)) {
          throw new Fault('SUBJECT_ALREADY_EXISTS');
        }
        if (known.length >= subjectsMax) {
          throw new Fault('OPERATION_NOT_ALLOWED', [`There can be no more than ${subjectsMax} subjects`]);
        }
        const ref = newRef<'subject'>(services);
        // Who may do what is said by roles alone, so nobody is let in before he is given one.
        tx.create('subject', ref, { ...fields, uuid: services.random.uuid(), roles: [] });
        return ref;
      },
    },
    destroy: {
      decide: (deciding: Deciding) => deciding.tx.delete('subject', self(deciding)),
    },
    add_to_roles: {
      decide: (deciding, { role }) => {
        assertRole(deciding, role);
        const { roles } = deciding.tx.require('subject', self(deciding));
        if (roles.includes(role)) throw new Fault('ROLE_ALREADY_EXISTS');
        deciding.tx.patch('subject', self(deciding), { roles: [...roles, role] });
      },
    },
    remove_from_roles: {
      decide: (deciding, { role }) => {
        const { roles } = deciding.tx.require('subject', self(deciding));
        if (!roles.includes(role)) throw new Fault('ROLE_NOT_FOUND');
        deciding.tx.patch('subject', self(deciding), { roles: roles.filter((one) => one !== role) });
      },
    },
    get_permissions_name_label: {
      read: (reading) => {
        reading.view.require('subject', self(reading));
        const strongest = rolesOfSubject(reading.view, self(reading)).at(-1);
        if (strongest === undefined) return [];
        const classes = [...reading.services.store.schemas.values()].map(({ cls }) => cls);
        return rightsOf(classes, strongest);
      },
    },
  },
);
