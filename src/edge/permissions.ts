import type { ClassName, KeyRoles, Role } from '../model/class.ts';
import { permits, rolesThatPermit, type WireMessage } from '../model/derive.ts';
import type { Ref } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import type { Caller } from '../objects/implement.ts';
import { Fault } from '../std/fault.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { same } from '../store/version.ts';

/** What a caller must hold: its name is the wire name in lower case, with the guarded key behind it. */
interface Permission {
  readonly name: string;
  readonly role: Role;
}

/** Throws RBAC_PERMISSION_DENIED unless the caller may send the message with these arguments. */
export const assertPermitted = (
  catalog: Catalog,
  store: Store,
  caller: Caller,
  message: WireMessage,
  args: readonly unknown[],
): void => {
  for (const { name, role } of permissionsOf(catalog, store, message, args)) {
    if (!permits(caller.role, role)) throw denied(name, role);
  }
};

/** The same for a route of HTTP, whose permission is named after it: `http/put_import_raw_vdi`. */
export const assertRole = (caller: Caller, permission: string, needs: Role): void => {
  if (!permits(caller.role, needs)) throw denied(permission, needs);
};

const denied = (permission: string, needs: Role): Fault =>
  new Fault('RBAC_PERMISSION_DENIED', [
    permission,
    `No permission in user session. (Roles with this permission: ${rolesThatPermit(needs).join(', ')})`,
  ]);

const permissionsOf = (
  catalog: Catalog,
  store: Store,
  message: WireMessage,
  args: readonly unknown[],
): readonly Permission[] => {
  const plain: Permission = { name: message.method.toLowerCase(), role: message.role };
  const at = message.params.findIndex(({ name }) => name === 'key');
  if (message.keyRoles !== undefined && at >= 0) {
    // A guarded key is asked for instead of the message: it may need more than that, or less.
    return [keyPermission(message, message.keyRoles, String(args[at])) ?? plain];
  }
  const guarded = setterGuards(catalog, message);
  if (guarded === undefined) return [plain];
  const keys = changedKeys(store, message, args);
  return [plain, ...keys.flatMap((key) => keyPermission(message, guarded, key) ?? [])];
};

/** The guard that a key falls under; a trailing `*` stands for any rest. */
const keyPermission = (message: WireMessage, guards: KeyRoles, key: string): Permission | undefined => {
  const guard = Object.keys(guards).find((one) =>
    one.endsWith('*') ? key.startsWith(one.slice(0, -1)) : one === key,
  );
  const role = guard === undefined ? undefined : guards[guard];
  if (role === undefined) return undefined;
  return { name: `${message.method}/key:${guard}`.toLowerCase(), role };
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
