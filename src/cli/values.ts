import { nullRef, type Type } from '../model/types.ts';
import type { Api } from './command.ts';
import { CommandFailure } from './failures.ts';
import { boolOf, floatOf, sizeOf } from './given.ts';
import { spelled, unspelled } from './spellings.ts';

/** A text as the API takes it. Objects are named by their uuids; no text is no object. */
export const apiValue = async (
  api: Pick<Api, 'send'>,
  name: string,
  text: string,
  type: Type<unknown> | undefined,
): Promise<unknown> => {
  switch (type?.kind) {
    case 'bool':
      return boolOf(name, text);
    case 'int':
      return sizeOf(name, text);
    case 'float':
      return floatOf(name, text);
    case 'enum':
      return enumValue(name, text, type);
    case 'ref':
      return text === '' ? nullRef : api.send(`${type.of}.get_by_uuid`, text);
    case 'map':
      return new Map(pairsOf(name, text));
    case 'set':
      return Promise.all(
        text
          .split(',')
          .filter((one) => one.trim() !== '')
          .map((one) => apiValue(api, name, one.trim(), type.item)),
      );
    default:
      return text;
  }
};

const enumValue = (name: string, text: string, { name: enumeration, values = [] }: Type<unknown>): string => {
  const value = unspelled(enumeration, text);
  if (values.some((one) => one.toLowerCase() === value.toLowerCase())) return value;
  const all = values.map((one) => spelled(enumeration, one)).join(', ');
  throw new CommandFailure(`Failed to parse parameter '${name}': expecting one of ${all}`);
};

/** `key:value,key:value`. */
const pairsOf = (name: string, text: string): readonly (readonly [string, string])[] =>
  text
    .split(',')
    .filter((one) => one.trim() !== '')
    .map((one) => {
      const at = one.indexOf(':');
      if (at < 0) throw new CommandFailure(`Failed to parse parameter '${name}': expecting key:value,...`);
      return [one.slice(0, at).trim(), one.slice(at + 1).trim()];
    });

/** A map as texts with their names. */
export const resultPairs = async (
  api: Pick<Api, 'send'>,
  value: unknown,
  type: Type<unknown>,
): Promise<readonly (readonly [string, string])[]> => {
  const pairs: [string, string][] = [];
  for (const [key, one] of value as ReadonlyMap<string, unknown>) {
    const [name = ''] = await resultTexts(api, key, type.key as Type<unknown>);
    pairs.push([name, (await resultTexts(api, one, type.item as Type<unknown>)).join('; ')]);
  }
  return pairs;
};

/** A result as texts, one for each line: objects by their uuids. */
export const resultTexts = async (
  api: Pick<Api, 'send'>,
  value: unknown,
  type: Type<unknown>,
): Promise<readonly string[]> => {
  switch (type.kind) {
    case 'void':
      return [];
    case 'ref':
      return [value === nullRef ? '' : await api.send(`${type.of}.get_uuid`, value)];
    case 'enum':
      return [spelled(type.name, String(value))];
    case 'float':
      return [(value as number).toFixed(3)];
    case 'set': {
      const texts: string[] = [];
      for (const one of value as readonly unknown[])
        texts.push(...(await resultTexts(api, one, type.item as Type<unknown>)));
      return texts;
    }
    case 'map':
      return (await resultPairs(api, value, type)).map(([name, text]) => `${name}: ${text}`);
    default:
      return [String(value)];
  }
};
