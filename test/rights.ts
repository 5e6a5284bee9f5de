import { classes } from '../actors/index.ts';
import { constructorFields, type WireMessage } from '../src/model/derive.ts';
import { nullRef, type Type } from '../src/model/types.ts';
import { catalogOf } from '../src/objects/catalog.ts';
import type { Value } from '../src/std/value.ts';
import { referenceJson } from './reference.ts';

// Who may send what, as the reference has it, and what is sent to find out whether he is let in: arguments of the
// right types that name nothing there is, so that a call fails at once after the question of rights.

/** Weakest first. */
export const roles = [
  'read-only',
  'vm-operator',
  'vm-admin',
  'vm-power-admin',
  'pool-operator',
  'pool-admin',
] as const;
/** A user of each role, and one who may do everything. */
export const users = [...roles, 'root'] as const;
export type User = (typeof users)[number];

/** A right and the weakest role that has it; undefined: root alone. */
export interface Right {
  readonly permission: string;
  readonly least: number | undefined;
}

export const rightOf = (permission: string, permitted: readonly string[]): Right => {
  const least = roles.findIndex((role) => permitted.includes(role));
  return { permission: permission.toLowerCase(), least: least < 0 ? undefined : least };
};

/** The first right that somebody lacks. */
export const lackedBy = (user: User, needs: readonly Right[]): Right | undefined =>
  needs.find(({ least }) => user !== 'root' && (least === undefined || users.indexOf(user) < least));

/** A call, and the rights that are asked for, in this order. */
export interface Step {
  readonly method: string;
  /** Without the session. */
  readonly args: readonly Value[];
  readonly needs: readonly Right[];
  /** It is for an object, and names none. */
  readonly isForNothing: boolean;
}

/** What is wrong with an answer, if anything: code and parameters of the error, nothing for a success. */
export const complaintAbout = (
  user: User,
  { needs, isForNothing }: Step,
  [code, ...params]: readonly string[],
): string | undefined => {
  const lacked = lackedBy(user, needs);
  if (lacked === undefined) {
    const keptOut = ['RBAC_PERMISSION_DENIED', 'SESSION_INVALID', 'HOST_IS_SLAVE', 'no answer', 'fault'];
    if (keptOut.includes(code ?? '')) return `kept out by ${[code, ...params]}`;
    return code === undefined && isForNothing ? 'done, and for no object' : undefined;
  }
  if (code === 'RBAC_PERMISSION_DENIED' && params[0] === lacked.permission) return undefined;
  return `lacks ${lacked.permission}, and was answered ${code ?? 'with a success'} ${params[0] ?? ''}`;
};

const catalog = catalogOf(classes, []);
const known = new Map(
  referenceJson<any>('datamodel.json').classes.flatMap((cls: any) =>
    cls.messages.map((message: any) => [`${cls.name}.${message.name}`, message] as const),
  ),
) as ReadonlyMap<string, any>;

/** Messages of the reference that a session is needed for and that clients may send. */
const messages: readonly WireMessage[] = catalog.messages.filter(({ method }) => {
  const fact = known.get(method);
  return fact !== undefined && fact.session === true && fact.removed !== true && fact.pool_internal !== true;
});

const plain = (method: string): Right => rightOf(method, known.get(method).roles);

/** Every message once. */
export const messageSteps: readonly Step[] = messages.map((message) => ({
  method: message.method,
  args: argsOf(message),
  needs: [plain(message.method)],
  isForNothing: message.hasSelf,
}));

/** Every guarded key of a map, in every way that sets or removes it. */
export const keySteps: readonly Step[] = messages.flatMap((message): readonly Step[] => {
  const [, kind, field] = /^(add_to|remove_from)_(.*)$/.exec(message.name) ?? [];
  if (field === undefined) return [];
  const guards: readonly { key: string; role: string }[] = known.get(message.method).map_keys_roles ?? [];
  return guards.flatMap(({ key, role }) => {
    const given = key.replace(/\*$/, 'anything');
    const guardOf = (method: string): Right => rightOf(`${method}/key:${key}`, [role]);
    const args = argsOf(message, given);
    const needs = [guardOf(message.method)];
    const direct: Step = { method: message.method, args, needs, isForNothing: true };
    return kind === 'add_to' ? [direct, ...wholeMaps(message, field, given, guardOf)] : [direct];
  });
});

/** The ways round the guards of an adder: to set the map as a whole, and to make an object with it. */
function wholeMaps(
  { cls, method }: WireMessage,
  field: string,
  key: string,
  guardOf: (method: string) => Right,
): readonly Step[] {
  const [set, create] = [`${cls.name}.set_${field}`, `${cls.name}.create`];
  const map = new Map([[key, 'x']]);
  const made = struct(cls.name);
  const isMadeWith = catalog.find(create)?.params[0]?.type.kind === 'record' && made.has(field);
  const step = (by: string, args: readonly Value[], guard: Right): Step => ({
    method: by,
    args,
    needs: [plain(by), guard],
    isForNothing: by === set,
  });
  return [
    ...(known.has(set) ? [step(set, [nullRef, map], guardOf(set))] : []),
    ...(isMadeWith ? [step(create, [new Map([...made, [field, map]])], guardOf(method))] : []),
  ];
}

function argsOf({ params }: WireMessage, key = 'none'): readonly Value[] {
  return params.map(({ name, type }) => {
    const value = anything(type);
    return name === 'key' && value === '' ? key : value;
  });
}

function anything(type: Type<unknown>): Value {
  if (type.kind === 'datetime') return { dateTime: '19700101T00:00:00Z' } as Value;
  if (type.kind === 'option') return anything(type.item as Type<unknown>);
  if (type.kind === 'record') return struct(type.of as string);
  if (type.kind === 'ref') return nullRef;
  if (type.kind === 'int') return '0';
  return type.empty as Value;
}

function struct(name: string): ReadonlyMap<string, Value> {
  const cls = classes.find((one) => one.name === name);
  if (cls === undefined) throw new Error(`There is no class ${name}`);
  return new Map(constructorFields(cls).map(([field, { type }]) => [field, anything(type)] as const));
}
