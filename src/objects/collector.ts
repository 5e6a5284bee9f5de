import type { AnyClass, ClassName } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import { type Clock, sleep } from '../std/clock.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Tx, View } from '../store/view.ts';
import type { Catalog } from './catalog.ts';

export interface CollectorOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly clock: Clock;
}

/** A pass lets others have their turn after this long, however many rows there are. */
const sliceMsMax = 5;
/** Rows that one commit removes. */
export const removedAtOnceMax = 100;

type Row = readonly [cls: AnyClass, ref: Ref];

/**
 * Makes the pass that removes rows that have lost what their class says they need: deleting a row leaves
 * references to it dangling, and here they end. A pass looks at every row of such classes, in slices, and
 * answers how many it removed.
 */
export const collectorOf = ({ catalog, store, clock }: CollectorOptions): (() => Promise<number>) => {
  const needy = catalog.classes.filter(({ needs }) => needs !== undefined);

  /** What was found without its needs may have got them since, so the commit looks again. */
  const remove = (rows: readonly Row[]): Promise<number> =>
    store.commit((tx) => rows.filter((row) => removeFrom(tx, catalog, row)).length);

  return async () => {
    let removed = 0;
    let bereft: Row[] = [];
    let began = clock.monotonicMs();
    for (const cls of needy) {
      for (const [ref, record] of store.latest.all(cls.name as ClassName)) {
        if (lacks(store.latest, cls, ref, record as AnyRecord)) bereft.push([cls, ref]);
        if (clock.monotonicMs() - began < sliceMsMax && bereft.length < removedAtOnceMax) continue;
        if (bereft.length > 0) removed += await remove(bereft);
        bereft = [];
        await sleep(clock, 0);
        began = clock.monotonicMs();
      }
    }
    return bereft.length === 0 ? removed : removed + (await remove(bereft));
  };
};

/** True if the row has gone. */
const removeFrom = (tx: Tx, catalog: Catalog, [cls, ref]: Row): boolean => {
  const name = cls.name as ClassName;
  const record = tx.get(name, ref as Ref<any>) as AnyRecord | undefined;
  if (record === undefined || !lacks(tx, cls, ref, record)) return false;
  if (catalog.behaviour(name)?.spare?.(tx, ref as Ref<any>, record as never) === true) return false;
  for (const field of cls.takes ?? []) {
    for (const [other, otherRef] of named(cls, field, record)) tx.delete(other, otherRef);
  }
  tx.delete(name, ref as Ref<any>);
  return true;
};

const lacks = (view: View, cls: AnyClass, ref: Ref, record: AnyRecord): boolean =>
  (cls.needs ?? []).some((need) => ![need].flat().some((field) => holds(view, cls, ref, record, field)));

/** `field` of the row names a row that there is; or, as `host.metrics`, that field of some row names this one. */
const holds = (view: View, cls: AnyClass, ref: Ref, record: AnyRecord, field: string): boolean => {
  const [other = '', far] = field.split('.');
  if (far === undefined)
    return named(cls, field, record).some(([of, one]) => view.get(of, one) !== undefined);
  for (const [, row] of view.all(other as ClassName)) if ((row as AnyRecord)[far] === ref) return true;
  return false;
};

/** The rows that a reference or a set of references names. */
const named = (cls: AnyClass, field: string, record: AnyRecord): readonly (readonly [any, Ref<any>])[] => {
  const type = cls.fields[field]?.type;
  const of = type?.of ?? type?.item?.of;
  return [record[field]].flat().map((ref) => [of, ref as Ref<any>]);
};
