import type { AnyClass } from '../model/class.ts';
import { type WireMessage, wireFields, wireMessages } from '../model/derive.ts';
import type { Type } from '../model/types.ts';
import { own } from '../std/own.ts';
import { shownClasses } from './classes/classes.ts';
import type { ShownClass } from './classes/shown-class.ts';

const marks = [
  ...['hidden', 'slow', 'deprecated', 'text', 'fixed', 'call', 'set', 'map', 'settable', 'comma'],
  ...['anycase', 'property', 'whole', 'single'],
] as const;
export type Mark = (typeof marks)[number];

/** A field of a class as the command line shows and changes it. */
export interface ShownField {
  readonly name: string;
  /** Over references from the object's own class; the last is the field that has the value. */
  readonly path: readonly string[];
  /** The classes that the path comes to, one for each of its references. */
  readonly over: readonly string[];
  /** Of the value; undefined for what is computed. */
  readonly type: Type<unknown> | undefined;
  readonly kind: 'plain' | 'set' | 'map';
  readonly marks: ReadonlySet<Mark>;
  /** A plain field can be set, a set or a map can be added to. */
  readonly writable: boolean;
}

/** A class as the command line shows it, with what its declaration says of it. */
export interface Listed {
  readonly name: string;
  readonly cls: string;
  readonly filters: readonly (readonly [name: string, value: string])[];
  readonly having?: string;
  /** Names of fields that a list shows where nobody says which; empty: all. */
  readonly list: readonly string[];
  readonly fields: readonly ShownField[];
  /** Those that are not removed, by name. */
  readonly messages: ReadonlyMap<string, WireMessage>;
}

const words = (text: string): readonly string[] => text.split(/\s+/).filter((word) => word !== '');

/** Each class of the command line. Throws where a field is named that no declaration has. */
export const listedClasses = (classes: readonly AnyClass[]): readonly Listed[] => {
  const byName = new Map(classes.map((cls) => [cls.name, cls]));
  return shownClasses.map((shown) => {
    const cls = byName.get(shown.cls);
    if (cls === undefined) throw new Error(`${shown.name} shows ${shown.cls}, which nobody declares`);
    const served = wireMessages(cls).filter(({ removed }) => !removed);
    const messages = new Map(served.map((message) => [message.name, message]));
    return {
      name: shown.name,
      cls: cls.name,
      filters: Object.entries(shown.filters ?? {}),
      ...(shown.having !== undefined && { having: shown.having }),
      list: words(shown.list ?? ''),
      fields: words(fieldsOf(shown)).map((word) => fieldOf(word, cls, byName, messages)),
      messages,
    };
  });
};

const fieldsOf = ({ fields, fieldsOf: other }: ShownClass): string =>
  fields ?? shownClasses.find(({ name }) => name === other)?.fields ?? '';

const fieldOf = (
  word: string,
  cls: AnyClass,
  classes: ReadonlyMap<string, AnyClass>,
  messages: ReadonlyMap<string, WireMessage>,
): ShownField => {
  const [named = '', marked = ''] = word.split('!');
  const [name = '', said] = named.split(':');
  const path = (said ?? name.replaceAll('-', '_')).split('.');
  const known = new Set(words(marked.replaceAll(',', ' ')) as readonly Mark[]);
  const { type, over } = known.has('call') ? { type: undefined, over: [] } : valueAt(path, cls, classes);
  const kind = kindOf(type, path, known);
  const verb = { plain: 'set_', set: 'add_', map: 'add_to_' }[kind];
  const canChange = path.length === 1 && messages.has(`${verb}${memberName(path[0] ?? '', known)}`);
  return {
    name,
    path,
    over,
    type,
    kind,
    marks: known,
    writable: known.has('settable') || (canChange && !known.has('fixed')),
  };
};

/** As messages call what is added to a field and removed from it: `add_group` for `groups`. */
export const memberName = (field: string, known: ReadonlySet<Mark>): string =>
  known.has('single') ? field.replace(/s$/, '') : field;

/** What runs now is shown as the set of what runs, and not by its tasks. */
export const isUnderWay = ({ path }: Pick<ShownField, 'path'>): boolean => path[0] === 'current_operations';

const kindOf = (
  type: Type<unknown> | undefined,
  path: readonly string[],
  known: ReadonlySet<Mark>,
): ShownField['kind'] => {
  if (known.has('text')) return 'plain';
  if (known.has('set') || type?.kind === 'set' || isUnderWay({ path })) return 'set';
  return known.has('map') || type?.kind === 'map' ? 'map' : 'plain';
};

const valueAt = (
  path: readonly string[],
  cls: AnyClass,
  classes: ReadonlyMap<string, AnyClass>,
): Pick<ShownField, 'over'> & { readonly type: Type<unknown> } => {
  const [first = '', ...rest] = path;
  const type = own(Object.fromEntries(wireFields(cls)), first)?.type;
  if (type === undefined) throw new Error(`${cls.name} declares no field ${first}`);
  if (rest.length === 0) return { type, over: [] };
  const next = classes.get(type.of ?? '');
  if (next === undefined) throw new Error(`${cls.name}.${first} names no object`);
  const further = valueAt(rest, next, classes);
  return { ...further, over: [next.name, ...further.over] };
};

/** A field's name with what can be done to it: `name-label ( RW)`. */
export const labelOf = ({ name, kind, writable, marks: known }: ShownField): string => {
  const letter = { plain: ' ', set: 'S', map: 'M' }[kind];
  const can = writable ? 'RW' : 'RO';
  return `${name} (${letter}${can})${known.has('deprecated') ? ' [DEPRECATED]' : ''}`;
};
