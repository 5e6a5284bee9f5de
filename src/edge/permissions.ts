import type { ClassName, KeyRoles, Role } from '../model/class.ts';
import { permits, rolesThatPermit, type WireMessage } from '../model/derive.ts';
import type { Ref } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import { type HttpAction, httpPermission } from '../objects/http-actions.ts';
import type { Caller } from '../objects/implement.ts';
import { Fault } from '../std/fault.ts';
import { own } from '../std/own.ts';
import { isStruct, type Struct } from '../std/value.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { same } from '../store/version.ts';

/** What a caller must hold: its name is the wire name in lower case, with the guarded key behind it. */
interface Permission {
  readonly name: string;
  readonly role: Role;
  /** Clients with a certificate hold it too. */
  readonly certificate?: boolean;
}

/** Throws RBAC_PERMISSION_DENIED unless the caller may send the message with these arguments. */
export const assertPermitted = (
  catalog: Catalog,
  store: Store,
  caller: Caller,
  message: WireMessage,
  args: readonly unknown[],
): void => {
  for (const permission of permissionsOf(catalog, store, message, args)) {
    if (!permits(caller.role, permission.role)) throw denied(permission);
  }
};

/**
 * Throws RBAC_PERMISSION_DENIED unless the caller may do what is asked for by HTTP, or the part of it that
 * needs more.
 */
export const assertAction = (caller: Caller, action: HttpAction, part?: string): void => {
  const permission = httpPermission(action, part);
  if (!permits(caller.role, permission.role)) throw denied(permission);
};

const denied = ({ name, role, certificate }: Permission): Fault =>
  new Fault('RBAC_PERMISSION_DENIED', [
    name,
    'No permission in user session. ' +
      `(Roles with this permission: ${rolesThatPermit(role, certificate).join(', ')})`,
  ]);

const permissionsOf = (
  catalog: Catalog,
  store: Store,
  message: WireMessage,
  args: readonly unknown[],
): readonly Permission[] => {
  const plain: Permission = {
    name: message.method.toLowerCase(),
    role: message.role,
    certificate: message.certificate,
  };
  if (message.keyRoles !== undefined) {
    const at = message.params.findIndex(({ name }) => name === 'key');
    if (at >= 0) return [keyPermission(message, message.keyRoles, args[at]) ?? plain];
  }
  if (message.kind === 'constructor') return [plain, ...keysGiven(catalog, message, args[0] as Struct)];
  const guarded = setterGuards(catalog, message);
  if (guarded === undefined) return [plain];
  const keys = changedKeys(store, message, args);
  return [plain, ...keys.flatMap((key) => keyPermission(message, guarded, key) ?? [])];
};

/**
 * The name of the permission that a call needs which names a key of a map, where keys `guards` are
 * guarded; a trailing `*` stands for any rest. A guarded key is asked for instead of the message: it may
 * need more than that, or less. Without a key it is a name that nobody holds.
 */
export const keyedPermissionName = (
  method: string,
  guards: readonly string[],
  args: ReadonlyMap<string, unknown> | undefined,
): string => {
  const plain = method.toLowerCase();
  if (guards.length === 0) return plain;
  if (args === undefined) return `${plain}/keyERR:DENY_NOARGS`;
  if (!args.has('key')) return `${plain}/keyERR:DENY_NOKEY`;
  const guard = guardOf(guards, String(args.get('key')));
  return guard === undefined ? plain : `${plain}/key:${guard}`.toLowerCase();
};

const guardOf = (guards: readonly string[], key: string): string | undefined =>
  guards.find((one) => (one.endsWith('*') ? key.startsWith(one.slice(0, -1)) : one === key));

const keyPermission = (message: WireMessage, guards: KeyRoles, key: unknown): Permission | undefined => {
  const names = Object.keys(guards);
  const guard = guardOf(names, String(key));
  const role = guard === undefined ? undefined : own(guards, guard);
  if (role === undefined) return undefined;
  return { name: keyedPermissionName(message.method, names, new Map([['key', key]])), role };
};

const setterField = (message: WireMessage): string | undefined =>
  message.hasSelf && message.params.length === 2 && message.name.startsWith('set_')
    ? message.name.slice('set_'.length)
    : undefined;

/** Setting a whole map must not be a way around the guards of its single keys. */
const setterGuards = (catalog: Catalog, message: WireMessage): KeyRoles | undefined => {
  const field = setterField(message);
  if (field === undefined || message.params[1]?.type.kind !== 'map') return undefined;
  return catalog.find(`${message.cls.name}.add_to_${field}`)?.keyRoles;
};

/** Nor must making an object: each guarded key that it is given is asked for as if it were added later. */
const keysGiven = (catalog: Catalog, { cls }: WireMessage, fields: Struct): readonly Permission[] =>
  [...fields].flatMap(([field, value]) => {
    const adder = isStruct(value) ? catalog.find(`${cls.name}.add_to_${field}`) : undefined;
    const guards = adder?.keyRoles;
    if (adder === undefined || guards === undefined) return [];
    return [...(value as Struct).keys()].flatMap((key) => keyPermission(adder, guards, key) ?? []);
  });

/** Keys that a setter adds, takes away or gives another value. */
const changedKeys = (
  store: Store,
  message: WireMessage,
  [self, value]: readonly unknown[],
): readonly string[] => {
  const row = store.latest.get(message.cls.name as ClassName, self as Ref<any>) as AnyRecord | undefined;
  const before = (row?.[setterField(message) ?? ''] ?? new Map()) as ReadonlyMap<unknown, unknown>;
  const after = value as ReadonlyMap<unknown, unknown>;
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((key) => before.has(key) !== after.has(key) || !same(before.get(key), after.get(key)))
    .map(String);
};
