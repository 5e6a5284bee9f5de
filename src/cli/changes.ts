import type { Type } from '../model/types.ts';
import { nullRef } from '../model/types.ts';
import type { Api } from './command.ts';
import { CommandFailure } from './failures.ts';
import { type Listed, memberName, type ShownField } from './fields.ts';
import type { ApiRow } from './lookup.ts';
import { apiValue } from './values.ts';

// What param-set, param-add, param-remove and param-clear make of a field: calls of the API.

/** What a change is made with. */
interface Changing {
  readonly api: Api;
  readonly of: Listed;
  readonly ref: string;
}

const lastOf = ({ path }: ShownField): string => path.at(-1) as string;

const messageOf = ({ of }: Changing, verb: string, field: ShownField): string =>
  `${of.cls}.${verb}_${lastOf(field)}`;

/** Of a set, one member at a time. */
const memberMessage = ({ of }: Changing, verb: 'add' | 'remove', field: ShownField): string =>
  `${of.cls}.${verb}_${memberName(lastOf(field), field.marks)}`;

/** `name=value` of param-set: the whole field, or `map:key`. */
export const setField = async (at: Changing, name: string, value: string): Promise<void> => {
  const { of, api, ref } = at;
  const [plain = '', ...keys] = name.split(':');
  const field = of.fields.find((one) => one.name === plain);
  if (field === undefined) throw new CommandFailure(`Unknown field '${name}'`);
  if (keys.length > 0 && field.kind === 'map') return setKey(at, field, keys.join(':'), value);
  if (field.kind === 'set' && !field.marks.has('whole'))
    throw new CommandFailure('Cannot param-set on set fields');
  if (field.kind === 'map' && field.writable)
    throw new CommandFailure(`Field '${name}' is a map or set. use the 'name:key=value' syntax.`);
  if (!field.writable && field.kind !== 'set') throw new CommandFailure(`Field '${name}' is read-only.`);
  const type = field.type ?? setterType(of, field);
  await api.send(messageOf(at, 'set', field), ref, await apiValue(at.api, name, value, type));
};

/** Of what is computed only the setter knows the type. */
const setterType = ({ messages }: Listed, field: ShownField): Type<unknown> | undefined =>
  messages.get(`set_${lastOf(field)}`)?.params.at(-1)?.type;

const setKey = async (at: Changing, field: ShownField, key: string, value: string): Promise<void> => {
  const { api, ref, of } = at;
  if (field.marks.has('property')) return api.send(`${of.cls}.set_property`, ref, key, value);
  if (field.marks.has('whole')) {
    const now: ReadonlyMap<string, string> = await api.send(messageOf(at, 'get', field), ref);
    return api.send(messageOf(at, 'set', field), ref, new Map([...now, [key, value]]));
  }
  if (!field.writable) throw new CommandFailure(`Field '${field.name}' is read-only.`);
  await api.send(messageOf(at, 'remove_from', field), ref, key);
  await api.send(messageOf(at, 'add_to', field), ref, key, value);
};

/** Its members are changed by setting all of them. */
const isWhole = ({ marks }: ShownField): boolean => marks.has('whole') && marks.has('settable');

const setWhole = ({ api, ref, ...at }: Changing, field: ShownField, value: unknown): Promise<void> =>
  api.send(messageOf({ api, ref, ...at }, 'set', field), ref, value);

/** A member of a set by `key`, or keys of a map with their values. */
export const addTo = async (
  at: Changing,
  field: ShownField,
  given: { readonly key: string | undefined; readonly pairs: readonly (readonly [string, string])[] },
  row: ApiRow,
): Promise<void> => {
  const { api, ref } = at;
  assertWritable(field);
  const held = row.record[lastOf(field)];
  if (field.kind === 'map') {
    if (isWhole(field))
      return setWhole(at, field, new Map([...(held as Map<string, string>), ...given.pairs]));
    for (const [key, value] of given.pairs) await api.send(messageOf(at, 'add_to', field), ref, key, value);
    return;
  }
  if (given.key === undefined) throw new CommandFailure('Name the member of the set: param-key=...');
  const member = await apiValue(at.api, field.name, given.key, field.type?.item);
  if (isWhole(field)) return setWhole(at, field, [...(held as readonly unknown[]), member]);
  await api.send(memberMessage(at, 'add', field), ref, member);
};

export const removeFrom = async (
  at: Changing,
  field: ShownField,
  key: string,
  row: ApiRow,
): Promise<void> => {
  const { api, ref } = at;
  assertWritable(field);
  const held = row.record[lastOf(field)];
  if (field.kind === 'map') {
    const pairs = held as ReadonlyMap<string, unknown>;
    if (!pairs.has(key)) throw new CommandFailure(`Key ${key} is not in map`);
    if (isWhole(field)) return setWhole(at, field, new Map([...pairs].filter(([one]) => one !== key)));
    return api.send(messageOf(at, 'remove_from', field), ref, key);
  }
  const members = held as readonly unknown[];
  const member = await apiValue(at.api, field.name, key, field.type?.item);
  if (!members.includes(member)) throw new CommandFailure(`Key ${key} is not in the set`);
  if (isWhole(field))
    return setWhole(
      at,
      field,
      members.filter((one) => one !== member),
    );
  await api.send(memberMessage(at, 'remove', field), ref, member);
};

const assertWritable = ({ kind, writable }: ShownField): void => {
  if (kind === 'plain' || !writable)
    throw new CommandFailure('Can only add to or remove from a set or a map that is RW');
};

/** Empties a set or a map; any other field becomes the empty text. */
export const clearField = async (at: Changing, field: ShownField, row: ApiRow): Promise<void> => {
  const { api, ref, of } = at;
  const name = lastOf(field);
  const held = row.record[name];
  if (!field.writable) throw new CommandFailure('Cannot clear this parameter');
  if (field.kind === 'plain') {
    const type = field.type?.kind;
    if (type !== 'string' && type !== 'ref') throw new CommandFailure('Cannot clear this parameter');
    return api.send(messageOf(at, 'set', field), ref, type === 'ref' ? nullRef : '');
  }
  const isMap = field.kind === 'map';
  if (of.messages.has(`set_${name}`))
    return api.send(messageOf(at, 'set', field), ref, isMap ? new Map() : []);
  const keys = isMap ? [...(held as ReadonlyMap<string, unknown>).keys()] : (held as readonly unknown[]);
  const message = isMap ? messageOf(at, 'remove_from', field) : memberMessage(at, 'remove', field);
  for (const key of keys) await api.send(message, ref, key);
};
