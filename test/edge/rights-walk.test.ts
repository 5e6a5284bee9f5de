// Goal: the right to every message, and to every guarded key of a map, is asked of every role: nobody gets in who may not.
// Method: a host behind the real HTTP server; a user of each role and root send every message of the reference in both
// languages, with arguments that name nothing. Who may what is the reference's, and not read off the declarations.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { constructorFields, type WireMessage } from '../../src/model/derive.ts';
import { nullRef, type Type } from '../../src/model/types.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import type { Value } from '../../src/std/value.ts';
import { referenceJson } from '../reference.ts';
import { type Served, served } from './served.ts';

/** Weakest first. */
const roles = [
  'read-only',
  'vm-operator',
  'vm-admin',
  'vm-power-admin',
  'pool-operator',
  'pool-admin',
] as const;
const users = [...roles, 'root'] as const;
type User = (typeof users)[number];
const catalog = catalogOf(classes, []);
const known = new Map(
  referenceJson<any>('datamodel.json').classes.flatMap((cls: any) =>
    cls.messages.map((message: any) => [`${cls.name}.${message.name}`, message] as const),
  ),
) as ReadonlyMap<string, any>;

/** What those who may send are not asked to, as it would end their walk or wait. */
const spared = new Set(['session.logout', 'event.next', 'session.change_password']);

let host: Served;
const sessions = new Map<User, string>();

beforeAll(async () => {
  host = await served();
  for (const role of roles) sessions.set(role, await host.sessionWithRole(role));
  sessions.set('root', await host.session());
});
afterAll(() => host.close());

/** Something of the type that names nothing there is. */
const anything = (type: Type<unknown>): Value => {
  if (type.kind === 'datetime') return { dateTime: '19700101T00:00:00Z' } as Value;
  if (type.kind === 'option') return anything(type.item as Type<unknown>);
  if (type.kind === 'record') return struct(type.of as string);
  if (type.kind === 'ref') return nullRef;
  if (type.kind === 'int') return '0';
  return type.empty as Value;
};

const struct = (cls: string): ReadonlyMap<string, Value> =>
  new Map(
    constructorFields(classes.find(({ name }) => name === cls)!).map(
      ([field, { type }]) => [field, anything(type)] as const,
    ),
  );

const argsOf = ({ params }: WireMessage): readonly Value[] => params.map(({ type }) => anything(type));

/** The weakest role that has a right; undefined: root alone. */
const weakest = (permitted: readonly string[]): number | undefined => {
  const at = roles.findIndex((role) => permitted.includes(role));
  return at < 0 ? undefined : at;
};
const has = (user: User, least: number | undefined): boolean =>
  user === 'root' || (least !== undefined && users.indexOf(user) >= least);

/** What is wrong with an answer, if anything: `needs` are the rights that are asked for, in this order. */
const wrong = (
  user: User,
  needs: readonly { readonly permission: string; readonly least: number | undefined }[],
  [code, ...params]: readonly string[],
): string | undefined => {
  const lacked = needs.find(({ least }) => !has(user, least));
  if (lacked === undefined) {
    // Whose task it is is asked beside the right to the message, and no task is named here.
    return code === 'RBAC_PERMISSION_DENIED' || code === 'SESSION_INVALID'
      ? `kept out: ${[code, ...params]}`
      : undefined;
  }
  if (code === 'RBAC_PERMISSION_DENIED' && params[0] === lacked.permission) return undefined;
  return `needs ${lacked.permission}, and was answered ${code ?? 'with a success'} ${params[0] ?? ''}`;
};

interface Step {
  readonly method: string;
  readonly args: readonly Value[];
  readonly needs: Parameters<typeof wrong>[1];
}

/** Every step by every user, half of them in each language. */
const walk = async (steps: readonly Step[]): Promise<readonly string[]> => {
  const found: string[] = [];
  for (const [i, { method, args, needs }] of steps.entries()) {
    for (const [j, user] of users.entries()) {
      if (spared.has(method) && needs.every(({ least }) => has(user, least))) continue;
      const language = (i + j) % 2 === 0 ? 'xml' : 'json';
      const reply = await host[language](method, sessions.get(user) as string, ...args);
      const complaint = wrong(user, needs, 'error' in reply ? reply.error : []);
      if (complaint !== undefined) found.push(`${user} ${method} in ${language}: ${complaint}`);
    }
  }
  return found;
};

/** Messages of the reference that a session is needed for and that clients may send. */
const messages = catalog.messages.filter(({ method }) => {
  const fact = known.get(method);
  return fact !== undefined && fact.session === true && fact.removed !== true && fact.pool_internal !== true;
});

const stepOf = (message: WireMessage): Step => ({
  method: message.method,
  args: argsOf(message),
  needs: [{ permission: message.method.toLowerCase(), least: weakest(known.get(message.method).roles) }],
});

test('every message, by everybody', async () => {
  expect(messages.length).toBeGreaterThan(1_900);
  expect(await walk(messages.map(stepOf))).toEqual([]);
}, 240_000);

test('every guarded key of a map, however it is set', async () => {
  const steps = messages.flatMap((message): readonly Step[] => {
    const guards: readonly { key: string; role: string }[] = known.get(message.method).map_keys_roles ?? [];
    const [, kind, field] = /^(add_to|remove_from)_(.*)$/.exec(message.name) ?? [];
    if (field === undefined) return [];
    const plain = (method: string): Step['needs'] => [
      { permission: method.toLowerCase(), least: weakest(known.get(method).roles) },
    ];
    return guards.flatMap(({ key, role }) => {
      const guard = { permission: `${message.method}/key:${key}`.toLowerCase(), least: weakest([role]) };
      const given = key.replace(/\*$/, 'anything');
      const args = argsOf(message).map((value, i) => (message.params[i]?.name === 'key' ? given : value));
      const direct: Step = { method: message.method, args, needs: [guard] };
      if (kind !== 'add_to') return [direct];
      const [set, create] = [`${message.cls.name}.set_${field}`, `${message.cls.name}.create`];
      const map = new Map([[given, 'x']]);
      const whole = known.has(set)
        ? [
            {
              method: set,
              args: [nullRef, map],
              needs: [...plain(set), { ...guard, permission: `${set}/key:${key}`.toLowerCase() }],
            },
          ]
        : [];
      const isRecord = catalog.find(create)?.params[0]?.type.kind === 'record';
      const made = struct(message.cls.name);
      const whenMade =
        isRecord && made.has(field)
          ? [{ method: create, args: [new Map([...made, [field, map]])], needs: [...plain(create), guard] }]
          : [];
      return [direct, ...whole, ...whenMade];
    });
  });
  expect(steps.length).toBeGreaterThan(40);
  expect(await walk(steps)).toEqual([]);
}, 120_000);
