import { nullRef, type Type } from '../model/types.ts';
import type { Api } from './command.ts';
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
      return unspelled(type.name, text);
    case 'ref':
      return text === '' ? nullRef : api.send(`${type.of}.get_by_uuid`, text);
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
    case 'map': {
      const texts: string[] = [];
      for (const [key, one] of value as ReadonlyMap<string, unknown>) {
        const [name] = await resultTexts(api, key, type.key as Type<unknown>);
        texts.push(`${name}: ${(await resultTexts(api, one, type.item as Type<unknown>)).join('; ')}`);
      }
      return texts;
    }
    default:
      return [String(value)];
  }
};
