import type { AnyClass, ClassName } from '../../src/model/class.ts';
import { constructorFields } from '../../src/model/derive.ts';
import { nullRef, type Ref, type Type } from '../../src/model/types.ts';
import type { Value } from '../../src/std/value.ts';
import type { World } from '../world.ts';

// Rows of every class, each of whose fields holds something, and values of every type to call with.

/** What writers of XML and JSON can get wrong, and what only one of the two can carry. */
export const oddText = 'a <b> & "c" ]]> \\ \t\r\n\u0001 é \u2028 \u{1f40b} {} %00';
/** Names that a plain object has already. */
const oddKeys = ['__proto__', 'constructor', oddText];
const integers = [-(2n ** 63n), 2n ** 63n - 1n, 0n];
const floats = [0.1, -0, 1e300, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

/** The row of a class that values refer to. */
export type RowOf = (cls: string) => string;

/** A trusted value of a type, as rows hold it; `variant` picks another of the same type. */
export const filled = (type: Type<any>, rowOf: RowOf, variant: number): unknown => {
  const pick = <T>(all: readonly T[]): T => all[variant % all.length] as T;
  const several = [0, 1, 2].map((i) => variant + i);
  switch (type.kind) {
    case 'string':
      return pick([oddText, ` ${oddText} `, 'plain']);
    case 'int':
      return pick(integers);
    case 'float':
      return pick(floats);
    case 'bool':
      return variant % 2 === 0;
    case 'datetime':
      return pick(['20240229T23:59:59Z', '19700101T00:00:00Z', '99991231T00:00:00Z']);
    case 'enum':
      return pick(type.values ?? []);
    case 'ref':
      return rowOf(type.of ?? '');
    case 'set':
      return [...new Set(several.map((i) => filled(type.item as Type<any>, rowOf, i)))];
    case 'map': {
      const { key, item } = type as { key: Type<any>; item: Type<any> };
      const keyed = (i: number): unknown =>
        key.kind === 'string' ? oddKeys[i % oddKeys.length] : filled(key, rowOf, i);
      return new Map(several.map((i) => [keyed(i), filled(item, rowOf, i)]));
    }
    case 'option':
      return filled(type.item as Type<any>, rowOf, variant);
    default:
      return type.empty;
  }
};

/** A trusted value as a client sends it. */
const sent = (type: Type<any>, value: unknown): Value => {
  if (value === undefined) return '';
  if (type.kind === 'datetime') return { dateTime: value } as Value;
  if (type.kind === 'option') return sent(type.item as Type<any>, value);
  if (type.kind === 'set') return (value as unknown[]).map((one) => sent(type.item as Type<any>, one));
  if (type.kind !== 'map') return value as Value;
  return new Map(
    [...(value as Map<unknown, unknown>)].map(([key, one]) => [
      String(key),
      sent(type.item as Type<any>, one),
    ]),
  );
};

/** A value of a type as a client sends it; a record is all that a constructor takes. */
export const sendable = (
  type: Type<any>,
  rowOf: RowOf,
  variant: number,
  classes: readonly AnyClass[],
): Value => {
  const cls = type.kind === 'record' ? classes.find(({ name }) => name === type.of) : undefined;
  if (cls === undefined) return sent(type, filled(type, rowOf, variant));
  return new Map(
    constructorFields(cls).map(([name, field]) => [
      name,
      sent(field.type, filled(field.type, rowOf, variant)),
    ]),
  );
};

/** Rows that are needed as they are for anything to be answered at all. */
const given: Readonly<Record<string, ReadonlySet<string>>> = {
  pool: new Set(['uuid', 'master']),
  host: new Set(['uuid', 'enabled', 'address']),
};

const rowRef = (world: World, cls: string): string => {
  if (cls === 'pool') return world.pool;
  return cls === 'host' ? world.host : `OpaqueRef:full-${cls}`;
};

export interface EveryRow {
  readonly rowOf: RowOf;
  /** The row of a class that has nothing but what new rows have. */
  readonly emptyOf: RowOf;
  /** Makes those rows that there are not, or no more. */
  fill(): Promise<void>;
}

export const everyRow = (world: World): EveryRow => {
  const classes = world.catalog.classes.filter(({ inDatabase }) => inDatabase !== false);
  const known = new Set(classes.map(({ name }) => name));
  const rowOf: RowOf = (cls) => (known.has(cls) ? rowRef(world, cls) : nullRef);
  const emptyOf: RowOf = (cls) =>
    cls === 'pool' || cls === 'host' ? rowRef(world, cls) : `OpaqueRef:empty-${cls}`;
  const missing = (cls: string, ref: string): boolean =>
    world.store.latest.get(cls as ClassName, ref as Ref<any>) === undefined;
  const fieldsOf = ({ name, fields }: AnyClass): object =>
    Object.fromEntries(
      Object.entries(fields)
        .filter(([field, { computed }]) => computed !== true && given[name]?.has(field) !== true)
        .map(([field, { type }], i) => [field, filled(type, rowOf, i)]),
    );
  /** Rows are found by these in both languages. */
  const namesOf = ({ name, fields }: AnyClass): object => ({
    ...(given[name]?.has('uuid') !== true && { uuid: `full-${name}` }),
    ...(fields['name_label']?.type.kind === 'string' && { name_label: `<${name}> & "more" ]]>` }),
  });
  const whole = new Set<string>();
  return {
    rowOf,
    emptyOf,
    fill: async () => {
      const lacking = classes.filter(({ name }) => missing(name, rowOf(name)) || !whole.has(name));
      const bare = classes.filter(({ name }) => missing(name, emptyOf(name)));
      if (lacking.length + bare.length === 0) return;
      await world.store.commit((tx) => {
        for (const { name } of bare) {
          tx.create(name as ClassName, emptyOf(name) as Ref<any>, { uuid: `empty-${name}` } as never);
        }
        for (const cls of lacking) {
          const [name, ref] = [cls.name as ClassName, rowOf(cls.name) as Ref<any>];
          if (missing(name, ref)) tx.create(name, ref, { uuid: `full-${name}` } as never);
        }
        for (const cls of lacking) {
          const fields = { ...fieldsOf(cls), ...namesOf(cls) };
          tx.patch(cls.name as ClassName, rowOf(cls.name) as Ref<any>, fields as never);
          whole.add(cls.name);
        }
      });
    },
  };
};
