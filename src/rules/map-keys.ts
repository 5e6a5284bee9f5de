import { Fault } from '../std/fault.ts';

/** What a map parameter may hold under a key. */
export interface KeyRule {
  readonly key: string;
  readonly defaultValue?: string;
  readonly isValid: (value: string) => boolean;
}

type Text = ReadonlyMap<string, string>;

/** The map with the keys that it lacks and that have a default; those come first. */
export const withDefaults = (map: Text, rules: readonly KeyRule[]): Text => {
  const added = rules.flatMap(({ key, defaultValue }): readonly (readonly [string, string])[] =>
    defaultValue === undefined || map.has(key) ? [] : [[key, defaultValue]],
  );
  return new Map([...added, ...map]);
};

/** Throws INVALID_VALUE with the field and the pair unless a rule knows the key and takes the value. */
export const assertPair = (field: string, key: string, value: string, rules: readonly KeyRule[]): void => {
  const rule = rules.find((one) => one.key === key);
  if (rule?.isValid(value) !== true) throw new Fault('INVALID_VALUE', [field, `${key} = ${value}`]);
};

/**
 * Some keys of a map are set: keys that the type has not are refused, and keys that are not given keep
 * their values. Throws INVALID_VALUE with `field:key` and the value.
 */
export const mergedKeys = (field: string, allowed: readonly string[], given: Text, stored: Text): Text => {
  for (const [key, value] of given) {
    if (!allowed.includes(key)) throw new Fault('INVALID_VALUE', [`${field}:${key}`, value]);
  }
  return allKeys(allowed, given, stored);
};

/** A whole map is set or its type changes: what the type has not is dropped, what is not given is kept. */
export const allKeys = (allowed: readonly string[], given: Text, stored: Text): Text =>
  new Map(
    allowed.flatMap((key): readonly (readonly [string, string])[] => {
      const value = given.get(key) ?? stored.get(key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
