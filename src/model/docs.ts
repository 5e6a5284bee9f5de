import type { AnyClass, Field, KeyRoles } from './class.ts';
import { type WireMessage, wireFields, wireMessages } from './derive.ts';
import { productOf, type Release, releaseOf } from './releases.ts';
import {
  collectionBytesMax,
  keyBytesMax,
  keysMax,
  limitOf,
  membersMax,
  refBytesMax,
  rowBytesMax,
  textBytesMax,
} from './sizes.ts';
import type { Type } from './types.ts';

/**
 * The reference for client developers, read off the declarations: Markdown pages by file name, one for
 * each class and `README.md`, which lists them.
 */
export const apiPages = (classes: readonly AnyClass[]): ReadonlyMap<string, string> => {
  const known = new Set(classes.map(({ name }) => name));
  return new Map([
    ['README.md', indexPage(classes)],
    ...classes.map((cls) => [`${cls.name}.md`, classPage(cls, known)] as const),
  ]);
};

const indexPage = (classes: readonly AnyClass[]): string =>
  page([
    '# XenAPI reference',
    'Generated from the declarations in `actors` by `npm run docs`.',
    'Every call takes a session as its first parameter unless it is said to need none; ' +
      'the pages leave the session out. ' +
      'A message that may run as a task can also be called as `Async.CLASS.MESSAGE` ' +
      'and then returns a task. ' +
      'Roles are the least ones that suffice, in rising order: read-only, vm-operator, vm-admin, ' +
      'vm-power-admin, pool-operator, pool-admin. `_local_root_` is the host itself and nobody else.',
    'A field is `RW` if clients set it, `RO` if it is given to the constructor and fixed from then on, and ' +
      '`DYN` if only the server changes it. `Since` names the release that first had ' +
      'something, finished or as a prototype; a bare number is a version of the toolstack.',
    `A text holds at most ${textBytesMax} bytes in UTF-8, a reference ${refBytesMax} ` +
      `and a key of a map ${keyBytesMax}; ` +
      `a set ${membersMax} members, a map ${keysMax} keys, ` +
      `each ${collectionBytesMax} bytes in all; an object ` +
      `${rowBytesMax} bytes. Where it is otherwise, the page says so. ` +
      'What is beyond a limit is refused with ' +
      '`INVALID_VALUE`, the name of the field or parameter, and what is too much.',
    table(
      ['Class', 'What it is', 'Fields', 'Messages', 'Since'],
      classes.map((cls) => [
        `[${cls.name}](${cls.name}.md)`,
        cls.doc,
        String(wireFields(cls).length),
        String(wireMessages(cls).length),
        since(cls),
      ]),
    ),
  ]);

const classPage = (cls: AnyClass, known: ReadonlySet<string>): string => {
  const messages = wireMessages(cls);
  const explicit = messages.filter(({ kind }) => kind === 'explicit');
  const implied = messages.filter(({ kind }) => kind !== 'explicit');
  return page([
    `# ${cls.name}`,
    cls.doc,
    [since(cls) && `Since ${since(cls)}.`, ...classRemarks(cls)].filter(Boolean).join(' '),
    ...(wireFields(cls).length === 0 ? [] : ['## Fields', fieldTable(cls, known), ...keyNotes(cls)]),
    ...(explicit.length === 0 ? [] : ['## Messages', ...explicit.flatMap((one) => messagePart(one, known))]),
    ...(implied.length === 0
      ? []
      : ['## Messages that follow from the fields', impliedTable(implied, known)]),
    ...enumerationPart(cls, messages),
  ]);
};

const classRemarks = (cls: AnyClass): readonly string[] => {
  if (cls.removed === true) return ['Removed: records of it are no longer served.'];
  if (cls.inDatabase === false) return ['It has no objects in the database.'];
  return [
    ...(cls.events === false ? ['Its changes are not events.'] : []),
    ...(cls.persist === false ? ['Its objects do not outlive a restart.'] : []),
  ];
};

const fieldTable = (cls: AnyClass, known: ReadonlySet<string>): string =>
  table(
    ['Field', 'Type', 'Access', 'Default', 'Role to read', 'Role to set', 'Since', 'What it says'],
    wireFields(cls).map(([name, field]) => [
      code(name),
      typeLink(field.type, known),
      field.access,
      field.default === undefined ? '' : code(shown(field.default)),
      field.readRole ?? cls.readRole ?? 'read-only',
      field.access === 'RW' ? (field.writeRole ?? cls.writeRole) : '',
      since(cls, name),
      fieldSentences(field),
    ]),
  );

const fieldSentences = ({ doc, inverse, removed, type }: Field): string =>
  [
    doc,
    ...limitSentence(type),
    ...(inverse === undefined ? [] : [`Other end: \`${inverse}\`.`]),
    ...(removed === true ? ['Removed: only whole records still have it.'] : []),
  ].join(' ');

const limitSentence = (type: Type<any>): readonly string[] =>
  limitOf(type) === '' ? [] : [`Holds ${limitOf(type)}.`];

const keyNotes = (cls: AnyClass): readonly string[] =>
  wireFields(cls).flatMap(([name, { keyRoles }]) =>
    keyRoles === undefined ? [] : [`Keys of \`${name}\` that need another role: ${keyList(keyRoles)}.`],
  );

const keyList = (keyRoles: KeyRoles): string =>
  Object.entries(keyRoles)
    .map(([key, role]) => `\`${key}\` ${role}`)
    .join(', ');

const messagePart = (message: WireMessage, known: ReadonlySet<string>): readonly string[] => {
  const { declared, cls, name, params, keyRoles } = message;
  const errors = declared?.errors ?? [];
  return [
    `### ${message.method}`,
    `\`\`\`\n${signature(message)}\n\`\`\``,
    declared?.doc ?? '',
    ...(params.length === 0
      ? []
      : [
          table(
            ['Parameter', 'Type', 'Default', 'What it says'],
            params.map((param) => [
              code(param.name),
              typeLink(param.type, known),
              param.optional ? code(shown(param.defaultValue)) : '',
              [param.doc, ...limitSentence(param.type)].join(' '),
            ]),
          ),
        ]),
    list([
      ...(message.result.kind === 'void' ? [] : [`Result: ${typeLink(message.result, known)}`]),
      ...(declared?.sessionless === true ? [] : [`Role: ${message.role}`]),
      ...(keyRoles === undefined ? [] : [`Keys that need another role: ${keyList(keyRoles)}`]),
      ...(errors.length === 0 ? [] : [`Errors: ${errors.map(code).join(', ')}`]),
      ...(since(cls, name) === '' ? [] : [`Since: ${since(cls, name)}`]),
      ...messageRemarks(message),
    ]),
  ];
};

const messageRemarks = ({ declared, async, removed }: WireMessage): readonly string[] => [
  ...(removed ? ['Removed: answers `MESSAGE_REMOVED`'] : []),
  ...(async ? ['May run as a task'] : []),
  ...(declared?.sessionless === true ? ['Needs no session'] : []),
  ...(declared?.certificate === true
    ? ['Clients that prove themselves by a certificate may call it too']
    : []),
  ...(declared?.poolInternal === true ? ['Only hosts of the pool may call it'] : []),
  ...(declared?.emergency === true ? ['Answered even in emergency mode'] : []),
  ...(declared?.onMember === true ? ['Answered by whichever host is asked'] : []),
  ...(declared?.hidden === true ? ['Not meant for ordinary clients'] : []),
];

/** What a message does that no declaration has a sentence for, because its kind and its field say it all. */
const impliedSentence = ({ kind, field, cls }: WireMessage): string => {
  switch (kind) {
    case 'getter':
      return `Returns \`${field}\` of the object.`;
    case 'setter':
      return `Replaces \`${field}\` of the object.`;
    case 'adder':
      return cls.fields[field ?? '']?.type.kind === 'map'
        ? `Adds a key to \`${field}\`, which must not have it yet.`
        : `Adds a member to \`${field}\`, if it is not in there.`;
    case 'remover':
      return cls.fields[field ?? '']?.type.kind === 'map'
        ? `Takes a key out of \`${field}\`, if it is in there.`
        : `Takes a member out of \`${field}\`, if it is in there.`;
    case 'constructor':
      return 'Makes an object from a record of its `RW` and `RO` fields.';
    case 'destructor':
      return 'Deletes the object.';
    case 'get_record':
      return 'Returns all fields of the object.';
    case 'get_by_uuid':
      return 'Returns the object that has a UUID.';
    case 'get_by_name_label':
      return 'Returns all objects of a name.';
    case 'get_all':
      return 'Returns every object of the class.';
    case 'get_all_where':
      return 'Returns the objects that an expression holds for.';
    case 'get_all_records_where':
      return 'Returns the records of the objects that an expression holds for.';
    case 'get_all_records':
      return 'Returns every object of the class with its record.';
    default:
      return '';
  }
};

const impliedTable = (messages: readonly WireMessage[], known: ReadonlySet<string>): string =>
  table(
    ['Message', 'Parameters', 'Result', 'Role', 'What it does'],
    messages.map((message) => [
      code(message.name),
      message.params.map(({ name }) => code(name)).join(', '),
      message.result.kind === 'void' ? '' : typeLink(message.result, known),
      message.role,
      [
        impliedSentence(message),
        ...(message.async ? ['May run as a task.'] : []),
        ...(message.removed ? ['Removed: answers `MESSAGE_REMOVED`.'] : []),
      ].join(' '),
    ]),
  );

/** The values of every enumeration that the page names. */
const enumerationPart = (cls: AnyClass, messages: readonly WireMessage[]): readonly string[] => {
  const types = [
    ...wireFields(cls).map(([, { type }]) => type),
    ...messages.flatMap(({ params, result }) => [...params.map(({ type }) => type), result]),
  ];
  const found = new Map(types.flatMap(enumerationsIn).map((type) => [type.name, type]));
  if (found.size === 0) return [];
  const lines = [...found.values()].map(
    ({ name, values }) => `${code(name)}: ${values?.map(code).join(', ')}`,
  );
  return ['## Enumerations', list(lines)];
};

const enumerationsIn = (type: Type<unknown>): readonly Type<unknown>[] => [
  ...(type.kind === 'enum' ? [type] : []),
  ...(type.key === undefined ? [] : enumerationsIn(type.key)),
  ...(type.item === undefined ? [] : enumerationsIn(type.item)),
];

const signature = ({ method, params, result }: WireMessage): string =>
  `${method}(${params.map(({ name, type }) => `${name}: ${type.name}`).join(', ')})${
    result.kind === 'void' ? '' : ` -> ${result.name}`
  }`;

const since = (cls: AnyClass, name?: string): string => {
  if (cls.since === undefined) return '';
  const release: Release = releaseOf(cls.since, name);
  return productOf(release);
};

/** A type, with a way to the page of the class that it speaks of. */
const typeLink = (type: Type<unknown>, known: ReadonlySet<string>): string => {
  const of = classOf(type);
  return of !== undefined && known.has(of) ? `[${code(type.name)}](${of}.md)` : code(type.name);
};

const classOf = (type: Type<unknown>): string | undefined =>
  type.of ?? (type.item && classOf(type.item)) ?? (type.key && classOf(type.key));

const shown = (value: unknown): string => {
  if (value instanceof Map) {
    return `{${[...value].map(([key, item]) => `${shown(key)}: ${shown(item)}`).join(', ')}}`;
  }
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  return typeof value === 'string' ? `"${value}"` : String(value);
};

const code = (text: string): string => `\`${text}\``;

const list = (lines: readonly string[]): string => lines.map((line) => `- ${line}`).join('\n');

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** A Markdown table. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows.map((row) => row.map(cell))]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');

/** A Markdown page: paragraphs with an empty line between. */
export const page = (parts: readonly string[]): string => `${parts.filter(Boolean).join('\n\n')}\n`;
