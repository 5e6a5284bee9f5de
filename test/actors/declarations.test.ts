// Goal: every declared class says exactly what the XenAPI says of it, in sentences that help a client developer.
// Method: each declaration and the reference data model are brought into one plain form and compared, whole
// class by whole class.
import { describe, expect, expectTypeOf, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import type { VM } from '../../actors/vm/class.ts';
import type {
  AnyClass,
  ArgsOf,
  Field,
  KeyRoles,
  Message,
  Param,
  RecordOf,
  ResultOf,
} from '../../src/model/class.ts';
import { wireMessages } from '../../src/model/derive.ts';
import { type Release, releaseOf, releases } from '../../src/model/releases.ts';
import { nullRef, type Ref, type Type } from '../../src/model/types.ts';
import { referenceJson } from '../reference.ts';

interface ReferenceParam {
  readonly name: string;
  readonly type: string;
  readonly default?: unknown;
}
/** What became of something, such as `['published', 'rio']`, oldest first. */
interface Lived {
  readonly lifecycle: { readonly transitions: readonly (readonly [change: string, release: Release])[] };
}
interface Guard {
  readonly key: string;
  readonly role: string;
}
interface ReferenceField extends Lived {
  readonly name: string;
  readonly type: string;
  readonly qualifier: 'RW' | 'RO/constructor' | 'RO/runtime';
  readonly path?: readonly string[];
  readonly default?: unknown;
  readonly persist: boolean;
  readonly db_column_persist?: boolean;
  readonly set_ref_computed?: boolean;
  readonly inverse?: string;
  readonly internal_only?: boolean;
  readonly getter_role: string;
  readonly setter_role: string;
  readonly map_keys_roles?: readonly Guard[];
}
interface ReferenceMessage extends Lived {
  readonly name: string;
  readonly kind: string;
  readonly field?: string;
  readonly params: readonly ReferenceParam[];
  readonly result: string;
  readonly role: string;
  readonly session: boolean;
  readonly async: boolean;
  readonly errors?: readonly string[];
  readonly map_keys_roles?: readonly Guard[];
  readonly removed?: boolean;
  readonly pool_internal?: boolean;
  readonly emergency_call?: boolean;
  readonly slave_not_forwarded?: boolean;
  readonly hide_from_docs?: boolean;
}
interface ReferenceClass extends Lived {
  readonly name: string;
  readonly in_database: boolean;
  readonly persist: boolean;
  readonly gen_constructor_destructor: boolean;
  readonly gen_events: boolean;
  readonly expose_get_all: boolean;
  readonly role_constructor_destructor_explicit_default: string;
  readonly role_implicit: string;
  readonly fields: readonly ReferenceField[];
  readonly messages: readonly ReferenceMessage[];
}
interface Reference {
  readonly releases: readonly { readonly code_name: string | null; readonly branding: string }[];
  readonly classes: readonly ReferenceClass[];
  readonly enums: Readonly<Record<string, readonly string[]>>;
}

const dataModel = referenceJson<Reference>('datamodel.json');

/** Parameters of Xenact's own: the last of their message, and clients of the XenAPI leave them out. */
const ownParams: Readonly<Record<string, ReferenceParam>> = {
  'pool.emergency_transition_to_master': { name: 'force', type: 'bool', default: false },
};

const referenceClass = (cls: AnyClass): ReferenceClass => {
  const found = dataModel.classes.find((candidate) => candidate.name === cls.name);
  if (found === undefined) throw new Error(`The XenAPI has no class ${cls.name}`);
  const messages = found.messages.map((message) => {
    const own = ownParams[`${cls.name}.${message.name}`];
    return own === undefined ? message : { ...message, params: [...message.params, own] };
  });
  return { ...found, messages };
};

const declared: readonly (readonly [string, AnyClass])[] = classes.map((cls) => [cls.name, cls]);

/** A default as JSON has it, so that both sides can be compared. */
const plain = (value: unknown): unknown => {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [k, plain(v)]));
  return Array.isArray(value) ? value.map(plain) : value;
};

/**
 * The default that a reference value stands for. An empty reference is the null reference under an older
 * name, and one enumeration is given an empty set, which none of its values is: that is `unknown`.
 */
const meant = (type: string, value: unknown): unknown => {
  if (type.endsWith(' ref') && value === '') return nullRef;
  return Array.isArray(value) && !type.endsWith(' set') ? 'unknown' : value;
};

const guards = (list: readonly Guard[] | undefined): KeyRoles | undefined =>
  list && (Object.fromEntries(list.map(({ key, role }) => [key, role])) as KeyRoles);

const accesses = { RW: 'RW', 'RO/constructor': 'RO', 'RO/runtime': 'DYN' } as const;

const declaredField = (cls: AnyClass, name: string, field: Field) => ({
  name,
  type: field.type.name,
  access: field.access,
  default: plain(field.default),
  persist: field.persist !== false,
  inverse: field.inverse,
  computed: field.computed === true,
  internal: field.internal === true,
  removed: field.removed === true,
  readRole: field.readRole ?? cls.readRole ?? 'read-only',
  writeRole: field.access === 'RW' ? (field.writeRole ?? cls.writeRole) : undefined,
  keyRoles: field.keyRoles,
  column: field.column ?? name,
});

const referenceField = (cls: ReferenceClass, field: ReferenceField) => ({
  name: field.name,
  type: field.type,
  access: accesses[field.qualifier],
  default: meant(field.type, field.default),
  persist: field.persist,
  // A field paired with itself relates to nothing.
  inverse: field.inverse === `${cls.name}.${field.name}` ? undefined : field.inverse,
  // Where both ends are sets neither can be rebuilt from the other, so both are stored and either is written.
  computed: field.set_ref_computed === true && field.db_column_persist === false,
  internal: field.internal_only === true,
  removed: cls.messages.some((m) => m.kind === 'getter' && m.field === field.name && m.removed === true),
  readRole: field.getter_role,
  writeRole: field.qualifier === 'RW' ? field.setter_role : undefined,
  keyRoles: guards(field.map_keys_roles),
  column: (field.path ?? [field.name]).join('__'),
});

const declaredParams = (message: Message, cls: AnyClass) => [
  ...(message.self === undefined ? [] : [{ name: message.self, type: `${cls.name} ref` }]),
  ...Object.entries(message.params ?? {}).map(([name, [type, , ...rest]]) => ({
    name,
    type: type.name,
    ...(rest.length === 0 ? {} : { default: plain(rest[0]) }),
  })),
];

const referenceParams = (params: readonly ReferenceParam[]) =>
  params.map(({ name, type, ...rest }) => ({
    name,
    type,
    ...('default' in rest ? { default: meant(type, rest.default) } : {}),
  }));

const declaredMessage = (cls: AnyClass, name: string, message: Message) => ({
  name,
  self: message.self,
  params: declaredParams(message, cls),
  result: message.result?.name ?? 'void',
  role: message.role,
  errors: message.errors ?? [],
  async: message.async === true,
  sessionless: message.sessionless === true,
  removed: message.removed === true,
  poolInternal: message.poolInternal === true,
  emergency: message.emergency === true,
  onMember: message.onMember === true,
  hidden: message.hidden === true,
  keyRoles: message.keyRoles,
});

const referenceMessage = (cls: ReferenceClass, message: ReferenceMessage) => ({
  name: message.name,
  self: message.params[0]?.type === `${cls.name} ref` ? message.params[0].name : undefined,
  params: referenceParams(message.params),
  result: message.result,
  role: message.role,
  errors: [...new Set(message.errors)],
  async: message.async,
  sessionless: !message.session,
  removed: message.removed === true,
  poolInternal: message.pool_internal === true,
  emergency: message.emergency_call === true,
  onMember: message.slave_not_forwarded === true,
  hidden: message.hide_from_docs === true,
  keyRoles: guards(message.map_keys_roles),
});

/** The later of two releases: named ones stand in `order`, and versions, which came after them, in their own. */
const laterOf = (order: readonly (string | null)[], one: Release, other: Release): Release => {
  const [place, otherPlace] = [order.indexOf(one), order.indexOf(other)];
  const before =
    place < 0 && otherPlace < 0
      ? one.localeCompare(other, 'en', { numeric: true }) < 0
      : otherPlace < 0 || (place >= 0 && place < otherPlace);
  return before ? other : one;
};

const paramsOf = (message: Message): readonly (readonly [string, Param])[] =>
  Object.entries(message.params ?? {});

const enumerationsIn = (type: Type<unknown>): readonly Type<unknown>[] => [
  ...(type.kind === 'enum' ? [type] : []),
  ...(type.item === undefined ? [] : enumerationsIn(type.item)),
  ...(type.key === undefined ? [] : enumerationsIn(type.key)),
];

const typesOf = (cls: AnyClass): readonly Type<unknown>[] => [
  ...Object.values(cls.fields).map((field) => field.type),
  ...Object.values(cls.messages).flatMap((message) => [
    ...paramsOf(message).map(([, [type]]) => type),
    ...(message.result === undefined ? [] : [message.result]),
  ]),
];

/** Every text of a class that its documentation shows, by what it is about. */
const sentencesOf = (cls: AnyClass): readonly (readonly [string, string])[] => [
  [cls.name, cls.doc],
  ...Object.entries(cls.fields).map(([name, field]) => [`${cls.name}.${name}`, field.doc] as const),
  ...Object.entries(cls.messages).flatMap(([name, message]) => [
    [`${cls.name}.${name}`, message.doc] as const,
    ...paramsOf(message).map(([param, [, doc]]) => [`${cls.name}.${name}(${param})`, doc] as const),
  ]),
];

test('the classes stand in the order of the XenAPI, each once', () => {
  const order = dataModel.classes.map((cls) => cls.name);
  const names = declared.map(([name]) => name);
  expect(names).toEqual(order.filter((name) => names.includes(name)));
});

describe.each(declared)('%s', (_, cls) => {
  test('is kept, listed, made and told of as in the XenAPI', () => {
    const reference = referenceClass(cls);
    expect({
      inDatabase: cls.inDatabase !== false,
      constructible: cls.constructible === true,
      events: cls.events !== false,
      readRole: cls.readRole ?? 'read-only',
      writeRole: cls.writeRole,
    }).toEqual({
      inDatabase: reference.in_database,
      constructible: reference.gen_constructor_destructor,
      events: reference.gen_events,
      readRole: reference.role_implicit,
      writeRole: reference.role_constructor_destructor_explicit_default,
    });
    if (!reference.in_database) return;
    expect(cls.persist !== false).toBe(reference.persist);
    expect(cls.listed !== false).toBe(reference.expose_get_all);
  });

  test('has the fields of the XenAPI, in its order', () => {
    const reference = referenceClass(cls);
    const own = Object.entries(cls.fields)
      .filter(([, field]) => field.ours !== true)
      .map(([name, field]) => declaredField(cls, name, field));
    expect(own).toEqual(reference.fields.map((field) => referenceField(reference, field)));
  });

  test('has the explicit messages of the XenAPI, in its order', () => {
    const reference = referenceClass(cls);
    const explicit = reference.messages.filter((message) => message.kind === 'explicit');
    const own = Object.entries(cls.messages).map(([name, message]) => declaredMessage(cls, name, message));
    expect(own).toEqual(explicit.map((message) => referenceMessage(reference, message)));
  });

  test('serves the messages of the XenAPI, the implied ones included, in its order', () => {
    const reference = referenceClass(cls);
    const own = wireMessages(cls).map((message) => ({
      name: message.name,
      kind: message.kind,
      field: message.field,
      params: message.params.map((param) => ({
        name: param.name,
        type: param.type.name,
        ...(param.optional ? { default: plain(param.defaultValue) } : {}),
      })),
      result: message.result.name,
      role: message.role,
      async: message.async,
      keyRoles: message.keyRoles,
    }));
    const theirs = reference.messages.map((message) => ({
      name: message.name,
      kind: message.kind,
      field: message.field,
      params: referenceParams(message.params),
      result: message.result,
      role: message.role,
      async: message.async,
      keyRoles: guards(message.map_keys_roles),
    }));
    expect(own).toEqual(theirs);
  });

  test('has the values of the XenAPI in its enumerations, in its order', () => {
    const { enums } = dataModel;
    for (const type of typesOf(cls).flatMap(enumerationsIn)) {
      expect([type.name, type.values]).toEqual([type.name, enums[type.name.replace('enum ', '')]]);
    }
  });

  test('says in which release each part of it came, no part before the class', () => {
    const reference = referenceClass(cls);
    const order = dataModel.releases.map(({ code_name }) => code_name);
    const came = ({ lifecycle }: Lived): Release => lifecycle.transitions[0]?.[1] ?? 'rio';
    const whole = came(reference);
    const parts = [...reference.fields, ...reference.messages.filter(({ kind }) => kind === 'explicit')];
    expect([undefined, ...parts.map(({ name }) => name)].map((name) => releaseOf(cls.since!, name))).toEqual([
      whole,
      ...parts.map((part) => laterOf(order, whole, came(part))),
    ]);
  });

  test('names only parts of itself as later ones', () => {
    const later =
      typeof cls.since === 'object' ? Object.values(cls.since.later).flatMap((names) => names ?? []) : [];
    expect(later.filter((name) => !(name in cls.fields || name in cls.messages))).toEqual([]);
  });

  test('documents every field, message and parameter in sentences', () => {
    const bad = sentencesOf(cls).filter(([, text]) => !/^\S.*[^\s.]\.$/.test(text));
    expect(bad).toEqual([]);
  });

  test('says something different of each message', () => {
    const texts = Object.values(cls.messages).map((message) => message.doc);
    expect(texts.filter((text, i) => texts.indexOf(text) !== i)).toEqual([]);
  });
});

test('releases have the products of the XenAPI, oldest first', () => {
  const theirs = dataModel.releases.flatMap(({ code_name, branding }) =>
    code_name !== null && code_name in releases ? [[code_name, branding]] : [],
  );
  expect(Object.entries(releases)).toEqual(theirs);
});

test('records, arguments and results have the types that the declarations say', () => {
  type Messages = (typeof VM)['messages'];
  type Record = RecordOf<typeof VM>;
  expectTypeOf<Record['memory_static_max']>().toEqualTypeOf<bigint>();
  expectTypeOf<Record['power_state']>().toEqualTypeOf<'Halted' | 'Paused' | 'Running' | 'Suspended'>();
  expectTypeOf<Record['VBDs']>().toEqualTypeOf<readonly Ref<'VBD'>[]>();
  expectTypeOf<ArgsOf<Messages['start']>>().toEqualTypeOf<{
    readonly start_paused: boolean;
    readonly force: boolean;
  }>();
  expectTypeOf<ArgsOf<Messages['pause']>>().toEqualTypeOf<Readonly<{ [name: string]: never }>>();
  expectTypeOf<ResultOf<Messages['snapshot']>>().toEqualTypeOf<Ref<'VM'>>();
  expectTypeOf<ResultOf<Messages['start']>>().toEqualTypeOf<void>();
});
