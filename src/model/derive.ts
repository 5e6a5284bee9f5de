import {
  type Action,
  type AnyClass,
  type Field,
  type KeyRoles,
  type Message,
  type Role,
  roles,
} from './class.ts';
import { map, nothing, record, ref, selfRef, set, shown, string, type Type } from './types.ts';

/** A message as it goes over the wire: an explicit one of the declaration or one that its fields imply. */
export interface WireMessage {
  readonly cls: AnyClass;
  readonly name: string;
  /** `VM.start`. */
  readonly method: string;
  readonly kind: MessageKind;
  /** Of a getter, setter, adder or remover. */
  readonly field?: string;
  readonly role: Role;
  /** Clients that prove themselves by a certificate may send it, whatever role it asks for. */
  readonly certificate: boolean;
  readonly keyRoles?: KeyRoles;
  /** Without the session. */
  readonly params: readonly WireParam[];
  /** Parameters without a default. */
  readonly required: number;
  /** The first parameter is the object that the message is for. */
  readonly hasSelf: boolean;
  readonly result: Type<unknown>;
  /** The result is never shown in logs. */
  readonly secretResult: boolean;
  readonly async: boolean;
  /** Answers MESSAGE_REMOVED. */
  readonly removed: boolean;
  readonly declared?: Message;
  /** Of what is asked for by HTTP alone: no call names it. */
  readonly action?: Action;
}

export type MessageKind =
  | 'action'
  | 'explicit'
  | 'getter'
  | 'setter'
  | 'adder'
  | 'remover'
  | 'constructor'
  | 'destructor'
  | 'get_record'
  | 'get_by_uuid'
  | 'get_by_name_label'
  | 'get_all'
  | 'get_all_where'
  | 'get_all_records_where'
  | 'get_all_records';

export interface WireParam {
  readonly name: string;
  readonly type: Type<unknown>;
  readonly doc: string;
  readonly optional: boolean;
  readonly defaultValue?: unknown;
  /** Nothing of its values is ever shown in logs, however harmless its type. */
  readonly secret: boolean;
}

const param = (name: string, type: Type<unknown>, doc: string): WireParam => ({
  name,
  type,
  doc,
  optional: false,
  secret: type.secret === true,
});

/** Every message of a class, in the order in which `system.listMethods` gives them. */
export const wireMessages = (cls: AnyClass): readonly WireMessage[] => {
  const known = derived.get(cls) ?? derivedMessages(cls);
  derived.set(cls, known);
  return known;
};

/** Declarations are values that nobody changes, and their messages are asked for again and again. */
const derived = new WeakMap<AnyClass, readonly WireMessage[]>();

const derivedMessages = (cls: AnyClass): readonly WireMessage[] => {
  if (cls.internal === true) return [];
  const explicit = Object.entries(cls.messages).map(([name, message]) => explicitMessage(cls, name, message));
  if (cls.inDatabase === false) return explicit;
  const fields = wireFields(cls);
  return [
    ...recordMessages(cls),
    ...fields.map(([name, field]) => getter(cls, name, field)),
    ...fields
      .filter(([, field]) => field.access === 'RW')
      .flatMap(([name, field]) => setters(cls, name, field)),
    ...explicit,
    ...(cls.listed === false ? [] : listMessages(cls)),
  ];
};

/** What is asked for of a class by HTTP, each like a message whose arguments are in the query. */
export const wireActions = (cls: AnyClass): readonly WireMessage[] =>
  Object.entries(cls.actions ?? {}).map(([name, action]) => ({
    ...explicitMessage(cls, name, action),
    ...{ kind: 'action', method: `http/${name}`, action },
  }));

/** The fields that are on the wire, in order. */
export const wireFields = (cls: AnyClass): readonly (readonly [string, Field])[] =>
  Object.entries(cls.fields).filter(([, field]) => field.internal !== true);

/** The fields that a constructor takes, in order: those not Xenact's own to change. */
export const constructorFields = (cls: AnyClass): readonly (readonly [string, Field])[] =>
  wireFields(cls).filter(([, field]) => field.access !== 'DYN');

type Facts = Pick<WireMessage, 'name' | 'kind' | 'params' | 'result' | 'role'> & Partial<WireMessage>;

const implied = (cls: AnyClass, facts: Facts): WireMessage => ({
  cls,
  method: `${cls.name}.${facts.name}`,
  required: facts.params.length,
  hasSelf: facts.params[0]?.name === 'self',
  secretResult: facts.result.secret === true,
  certificate: facts.role === 'read-only',
  async: false,
  removed: cls.removed === true,
  ...facts,
});

const selfOf = (cls: AnyClass): WireParam => param('self', selfRef(cls.name), `The ${cls.name} object.`);

const explicitMessage = (cls: AnyClass, name: string, message: Message): WireMessage => {
  const own = Object.entries(message.params ?? {}).map(
    ([paramName, [type, doc, ...rest]]): WireParam => ({
      name: paramName,
      type,
      doc,
      optional: rest.length > 0,
      defaultValue: rest[0],
      secret: message.secret === true || type.secret === true,
    }),
  );
  const self = { ...selfOf(cls), name: message.self ?? '', secret: message.secret === true };
  const params = message.self === undefined ? own : [self, ...own];
  return {
    cls,
    name,
    method: `${cls.name}.${name}`,
    kind: 'explicit',
    role: message.role,
    certificate: message.certificate === true || message.role === 'read-only',
    ...(message.keyRoles === undefined ? {} : { keyRoles: message.keyRoles }),
    params,
    required: params.filter((p) => !p.optional).length,
    hasSelf: message.self !== undefined,
    result: message.result ?? nothing,
    secretResult: message.result?.secret === true,
    async: message.async === true,
    removed: message.removed === true,
    declared: message,
  };
};

const recordMessages = (cls: AnyClass): readonly WireMessage[] => {
  const readRole = cls.readRole ?? 'read-only';
  // A pool has a name_label too, but not as half of a name, and is not looked up by it.
  const named = cls.fields['name_label']?.column === 'name__label';
  return [
    implied(cls, {
      name: 'get_record',
      kind: 'get_record',
      params: [selfOf(cls)],
      result: record(cls.name),
      role: readRole,
    }),
    implied(cls, {
      name: 'get_by_uuid',
      kind: 'get_by_uuid',
      params: [param('uuid', string, 'UUID of the object to find.')],
      result: ref(cls.name),
      role: readRole,
    }),
    ...(cls.constructible === true
      ? [
          implied(cls, {
            name: 'create',
            kind: 'constructor',
            params: [param('args', record(cls.name), 'The fields of the new object.')],
            result: ref(cls.name),
            role: cls.writeRole,
            async: true,
          }),
          implied(cls, {
            name: 'destroy',
            kind: 'destructor',
            params: [selfOf(cls)],
            result: nothing,
            role: cls.writeRole,
            async: true,
          }),
        ]
      : []),
    ...(named
      ? [
          implied(cls, {
            name: 'get_by_name_label',
            kind: 'get_by_name_label',
            params: [param('label', string, 'The name_label to look for.')],
            result: set(ref(cls.name)),
            role: readRole,
          }),
        ]
      : []),
  ];
};

const getter = (cls: AnyClass, name: string, field: Field): WireMessage =>
  implied(cls, {
    name: `get_${name}`,
    kind: 'getter',
    field: name,
    params: [selfOf(cls)],
    result: field.type,
    role: field.readRole ?? cls.readRole ?? 'read-only',
    removed: field.removed === true,
  });

const setters = (cls: AnyClass, name: string, field: Field): readonly WireMessage[] => {
  const role = field.writeRole ?? cls.writeRole;
  // Declared for messages that name a key. A setter replaces the whole map: the edge checks each key
  // that differs against the field's own roles.
  const guarded = field.keyRoles === undefined ? {} : { keyRoles: field.keyRoles };
  const change = (
    verb: string,
    kind: MessageKind,
    params: readonly WireParam[],
    facts: Partial<Facts> = {},
  ): WireMessage =>
    implied(cls, {
      name: `${verb}_${name}`,
      kind,
      field: name,
      params: [selfOf(cls), ...params.map((one) => ({ ...one, secret: field.type.secret === true }))],
      result: nothing,
      role,
      certificate: field.certificate === true,
      removed: field.removed === true,
      ...facts,
    });
  const setter = change('set', 'setter', [param('value', field.type, 'The new value.')]);
  if (field.type.kind === 'map') {
    return [
      setter,
      change(
        'add_to',
        'adder',
        [
          param('key', shown(field.type.key ?? string), 'Key to add.'),
          param('value', field.type.item ?? string, 'Value to add.'),
        ],
        guarded,
      ),
      change(
        'remove_from',
        'remover',
        [param('key', shown(field.type.key ?? string), 'Key to remove.')],
        guarded,
      ),
    ];
  }
  if (field.type.kind === 'set') {
    const value = param('value', field.type.item ?? string, 'The member.');
    return [setter, change('add', 'adder', [value]), change('remove', 'remover', [value])];
  }
  return [setter];
};

const listMessages = (cls: AnyClass): readonly WireMessage[] => {
  const role = cls.readRole ?? 'read-only';
  const expr = param('expr', string, 'Which objects to give, such as `field "name_label" = "a"`.');
  const records = map(ref(cls.name), record(cls.name));
  return [
    implied(cls, { name: 'get_all', kind: 'get_all', params: [], result: set(ref(cls.name)), role }),
    implied(cls, {
      name: 'get_all_where',
      kind: 'get_all_where',
      params: [expr],
      result: set(ref(cls.name)),
      role,
    }),
    implied(cls, {
      name: 'get_all_records_where',
      kind: 'get_all_records_where',
      params: [expr],
      result: records,
      role,
    }),
    implied(cls, { name: 'get_all_records', kind: 'get_all_records', params: [], result: records, role }),
  ];
};

const rank = (role: Role): number => roles.indexOf(role);

/** A session with the role `has` may do what asks for `needs`. */
export const permits = (has: Role, needs: Role): boolean => rank(has) >= rank(needs);

/**
 * The roles that may do what asks for `needs`, strongest first, as an error names them. `certificate`:
 * clients with a certificate may too; they stand between those who change something and those who look.
 */
export const rolesThatPermit = (needs: Role, certificate = needs === 'read-only'): readonly string[] =>
  roles
    .filter((role) => role !== '_local_root_')
    .flatMap((role): readonly string[] => {
      const held = permits(role, needs) ? [role] : [];
      return role === 'read-only' && certificate ? [...held, 'client-cert'] : held;
    })
    .toReversed();
