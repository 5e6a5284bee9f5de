import { createHash } from 'node:crypto';
import type { AnyClass, Role } from '../model/class.ts';
import { roles } from '../model/class.ts';
import { permits, wireMessages } from '../model/derive.ts';
import type { Ref } from '../model/types.ts';
import { httpPermissions } from './http-actions.ts';

/** A right to send one message, or to use one guarded key of it. Named in lower case. */
export interface Permission {
  readonly name: string;
  readonly ref: Ref<'role'>;
  /** Least role that holds it. */
  readonly role: Role;
}

/** Roles that users can be given or that are listed with them, least first. */
export const listedRoles = roles.filter((role) => role !== '_local_root_');

/** The uuid of a role or permission follows from its name, so that it is the same in every pool. */
export const roleUuid = (name: string): string =>
  createHash('md5')
    .update(name)
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

export const roleRef = (name: string): Ref<'role'> => `OpaqueRef:${roleUuid(name)}` as Ref<'role'>;

const permission = (name: string, role: Role): Permission => ({ name, ref: roleRef(name), role });

/** Role that may touch everybody's tasks. */
export const anyTask = permission('task.destroy/any', 'pool-operator');

/** Every permission: those that the classes ask for, in the order of their messages, and those of HTTP. */
export const permissionsOf = (classes: readonly AnyClass[]): readonly Permission[] => [
  ...classes.flatMap(wireMessages).flatMap((message) => {
    const method = message.method.toLowerCase();
    const keys = Object.entries(message.keyRoles ?? {}).map(([key, role]) =>
      permission(`${method}/key:${key.toLowerCase()}`, role),
    );
    return [permission(method, message.role), ...keys];
  }),
  ...httpPermissions(classes).map(({ name, role }) => permission(name, role)),
  anyTask,
];

/** Names of the permissions that a role holds. */
export const rightsOf = (classes: readonly AnyClass[], held: Role): readonly string[] =>
  permissionsOf(classes)
    .filter(({ role }) => permits(held, role))
    .map(({ name }) => name);
