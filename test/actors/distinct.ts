import type { AnyClass, Field } from '../../src/model/class.ts';
import { type DateTime, dateTimeOf, type Ref, type Type } from '../../src/model/types.ts';
import type { AnyRecord } from '../../src/store/schema.ts';
import type { Tx } from '../../src/store/view.ts';

// A value for every field of a class that is neither its default nor that of another field or round.

/** Objects that the values name are made in `tx`, so that they are there. */
export const distinctRow = (cls: AnyClass, tx: Tx, round: number): AnyRecord =>
  Object.fromEntries(
    Object.entries(cls.fields)
      .filter(([, field]) => field.computed !== true)
      .map(([name, field], i) => [name, distinct(tx, name, field, 100 * round + i)]),
  );

export const defaultRow = (cls: AnyClass): AnyRecord =>
  Object.fromEntries(
    Object.entries(cls.fields).map(([name, field]) => [name, field.default ?? field.type.empty]),
  );

const distinct = (tx: Tx, name: string, { type, default: usual }: Field, n: number): unknown => {
  if (type.kind === 'bool') return !(usual ?? type.empty);
  if (type.kind === 'enum')
    return type.values?.findLast((one) => one !== (usual ?? type.empty)) ?? type.empty;
  return anyOf(tx, name, type, n);
};

const anyOf = (tx: Tx, name: string, type: Type<unknown>, n: number): unknown => {
  const item = type.item as Type<unknown>;
  if (type.kind === 'set') return [anyOf(tx, name, item, n)];
  if (type.kind === 'map') {
    return new Map([[anyOf(tx, name, type.key as Type<unknown>, n), anyOf(tx, name, item, n)]]);
  }
  if (type.kind === 'ref') return other(tx, type.of as 'VM', `OpaqueRef:${name}-${n}`);
  if (type.kind === 'int') return BigInt(1_000 + n);
  if (type.kind === 'float') return 1.5 + n;
  if (type.kind === 'bool') return true;
  if (type.kind === 'enum') return type.values?.at(-1);
  if (type.kind === 'datetime') return dateTimeOf(1_000_000_000_000 + n * 60_000) satisfies DateTime;
  return `it's ${name} "${n}"\\`;
};

const other = (tx: Tx, cls: 'VM', ref: string): string => {
  if (tx.get(cls, ref as Ref<'VM'>) === undefined) tx.create(cls, ref as Ref<'VM'>, { uuid: ref });
  return ref;
};
