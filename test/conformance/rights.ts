import { classes } from '../../actors/index.ts';
import { keyedPermissionName } from '../../src/edge/permissions.ts';
import { rolesThatPermit } from '../../src/model/derive.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { type HttpAction, httpAction, httpPermission } from '../../src/objects/http-actions.ts';
import { anyTask } from '../../src/objects/roles.ts';
import { type Adapter, mapOf, skip } from './subject.ts';

const catalog = catalogOf(classes, []);

/** A row is about a message, or about one key of a map that a message names. */
export const messageRoles: Adapter = ({ given, when }) => {
  const message = catalog.find(when['message']);
  if (message === undefined) return { undeclared: when['message'] };
  const key: string | undefined = given['map key'];
  if (key === undefined) {
    return {
      'roles permitted': rolesThatPermit(message.role, message.certificate),
      'session needed': message.declared?.sessionless !== true,
    };
  }
  const role = message.keyRoles?.[key];
  if (role === undefined) return { unguarded: key };
  const guards = Object.keys(message.keyRoles ?? {});
  const permission = keyedPermissionName(message.method, guards, new Map([['key', key]]));
  return { 'roles permitted': rolesThatPermit(role), permission };
};

export const keyPermissions: Adapter = ({ given, when }) => ({
  'permission checked': keyedPermissionName(
    when['action'],
    given['keys guarded for this action'],
    when['args'] === null ? undefined : mapOf(when['args']),
  ),
});

/** Actions by what is asked for: the same path may be several, one for each method. */
const actionAt = (method: string, path: string): HttpAction | undefined => {
  const found = catalog.actions.find(({ action }) => action?.method === method && action.path === path);
  return found && httpAction(catalog, found.name);
};

export const httpRoles: Adapter = ({ when, then }) => {
  if (when['permission'] !== undefined) {
    if (when['permission'] !== anyTask.name) skip(`nothing asks for ${when['permission']}`);
    return { 'roles permitted': rolesThatPermit(anyTask.role) };
  }
  const action = actionAt(when['method'], when['uri']);
  if (action === undefined) return { missing: `${when['method']} ${when['uri']}` };
  const { name: permission, role, certificate } = httpPermission(action, when['sub action']);
  return {
    permission,
    'roles permitted': rolesThatPermit(role, certificate),
    ...('RBAC check skipped' in then ? { 'RBAC check skipped': action.open === true } : {}),
  };
};
