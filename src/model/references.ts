import { nullRef, type Type } from './types.ts';

/** Where a type holds references, and of which class. */
export interface Holding {
  readonly of: string;
  readonly where: 'itself' | 'members' | 'keys' | 'values';
}

/** Undefined: a type that holds no references. */
export const holdingOf = (type: Type<any>): Holding | undefined => {
  const held = (part: Type<unknown> | undefined, where: Holding['where']): Holding | undefined =>
    part?.kind === 'ref' && part.of !== undefined ? { of: part.of, where } : undefined;
  if (type.kind === 'set') return held(type.item, 'members');
  if (type.kind === 'map') return held(type.key, 'keys') ?? held(type.item, 'values');
  return held(type, 'itself');
};

/** The references in a value of such a type, the null one left out. */
export const referencesIn = ({ where }: Holding, value: unknown): readonly string[] => {
  if (where === 'itself') return value === nullRef ? [] : [value as string];
  const all = where === 'members' ? (value as readonly string[]) : [...entriesOf(value)[where]()];
  return all.includes(nullRef) ? all.filter((one) => one !== nullRef) : all;
};

/** The value without those references. */
export const without = ({ where }: Holding, value: unknown, gone: (ref: string) => boolean): unknown => {
  if (where === 'itself') return gone(value as string) ? nullRef : value;
  if (where === 'members') return (value as readonly string[]).filter((one) => !gone(one));
  return new Map([...entriesOf(value)].filter(([key, item]) => !gone(where === 'keys' ? key : item)));
};

const entriesOf = (value: unknown): ReadonlyMap<string, string> => value as ReadonlyMap<string, string>;
