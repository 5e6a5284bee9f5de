import type { Action, AnyClass, Role } from '../model/class.ts';
import { wireActions } from '../model/derive.ts';
import { own } from '../std/own.ts';
import type { Catalog } from './catalog.ts';

/** Something that is asked for by HTTP, and who may. */
export interface HttpAction
  extends Pick<Action, 'method' | 'path' | 'role' | 'certificate' | 'open' | 'parts' | 'audited'> {
  readonly name: string;
}

const beside = (name: string, method: Action['method'], path: string): HttpAction => ({
  ...{ name, method, path, role: 'pool-admin' },
});

/** What is served beside the XenAPI. The rights to it are not listed among those of the XenAPI's roles. */
const ownActions: ReadonlyMap<string, HttpAction> = new Map(
  [
    beside('get_inspection', 'GET', '/inspect'),
    beside('post_join_token', 'POST', '/pool/join-token'),
    beside('get_sim', 'GET', '/sim'),
    beside('post_sim', 'POST', '/sim'),
  ].map((action) => [action.name, action]),
);

/** An action of a class, or one that is served beside the XenAPI. */
export const httpAction = (catalog: Pick<Catalog, 'action'>, name: string): HttpAction | undefined => {
  const action = catalog.action(name)?.action;
  return action === undefined ? ownActions.get(name) : { name, ...action };
};

export interface HttpPermission {
  readonly name: string;
  readonly role: Role;
  readonly certificate: boolean;
}

/** The right to an action, or to a part of it that needs more. */
export const httpPermission = (action: HttpAction, part?: string): HttpPermission => {
  const { name, role, certificate, parts } = action;
  if (part === undefined) {
    return { name: `http/${name}`, role, certificate: certificate === true || role === 'read-only' };
  }
  return { name: `http/${name}/${part}`, role: own(parts ?? {}, part) ?? role, certificate: false };
};

/** Every right to do something by HTTP: roles are granted by it, also what is not served yet. */
export const httpPermissions = (classes: readonly AnyClass[]): readonly HttpPermission[] =>
  classes.flatMap(wireActions).flatMap(({ name, action }) => {
    const asked = { name, ...(action as Action) };
    return [undefined, ...Object.keys(asked.parts ?? {})].map((part) => httpPermission(asked, part));
  });
