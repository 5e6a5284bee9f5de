import { permits } from '../../src/model/derive.ts';
import type { Ref } from '../../src/model/types.ts';
import { implement, type Reading } from '../../src/objects/implement.ts';
import { listedRoles, type Permission, permissionsOf, roleRef } from '../../src/objects/roles.ts';
import { role } from './class.ts';

const allPermissions = ({ services }: Reading): readonly Permission[] =>
  permissionsOf([...services.store.schemas.values()].map(({ cls }) => cls));

/** The permissions of the role that is asked, with those of the weaker roles in it. */
const held = (reading: Reading): readonly Permission[] => {
  const { name_label: name } = reading.view.require('role', reading.self as Ref<'role'>);
  // A role with one weaker role in it and no permissions of its own stands for that one.
  const rank = listedRoles.find((one) => one === name) ?? 'read-only';
  return allPermissions(reading).filter((permission) => permits(rank, permission.role));
};

const holders = (permission: Permission | undefined): readonly Ref<'role'>[] =>
  permission === undefined
    ? []
    : listedRoles.filter((one) => permits(one, permission.role)).map((one) => roleRef(one));

export default implement(
  role,
  {},
  {
    get_permissions: { read: (reading) => held(reading).map(({ ref }) => ref) },
    get_permissions_name_label: { read: (reading) => held(reading).map(({ name }) => name) },
    get_by_permission: {
      read: (reading) => holders(allPermissions(reading).find(({ ref }) => ref === reading.self)),
    },
    get_by_permission_name_label: {
      read: (reading, { label }) => holders(allPermissions(reading).find(({ name }) => name === label)),
    },
  },
);
