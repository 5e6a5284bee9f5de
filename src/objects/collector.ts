import type { AnyClass, ClassName } from '../model/class.ts';
import { type Holding, holdingOf, referencesIn } from '../model/references.ts';
import type { Ref } from '../model/types.ts';
import { type Clock, sleep } from '../std/clock.ts';
import type { AnyRecord } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Tx, View } from '../store/view.ts';
import type { Catalog } from './catalog.ts';
import { spareRows } from './derive-rows.ts';

export interface CollectorOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly clock: Clock;
}

/** A pass lets others have their turn after this long, however many rows there are. */
const sliceMsMax = 5;
/** Rows that one commit removes. */
export const removedAtOnceMax = 100;

/** A class with needs, and whether one of its rows has them all. */
interface Needy {
  readonly cls: AnyClass;
  has(view: View, ref: Ref, record: AnyRecord): boolean;
}

type Row = readonly [needy: Needy, ref: Ref];

/**
 * Makes the pass that removes rows that have lost what their class says they need: deleting a row leaves
 * references to it dangling, and here they end. A pass looks at every row of such classes, in slices, and
 * answers how many it removed.
 */
export const collectorOf = ({ catalog, store, clock }: CollectorOptions): (() => Promise<number>) => {
  const classes = catalog.classes.filter(({ needs }) => needs !== undefined).map(needyOf);

  /** What was found without its needs may have got them since, so the commit looks again. */
  const remove = (rows: readonly Row[]): Promise<number> =>
    store.commit((tx) => rows.filter((row) => removeFrom(tx, catalog, row)).length);

  return async () => {
    let removed = 0;
    let bereft: Row[] = [];
    let began = clock.monotonicMs();
    for (const needy of classes) {
      for (const [ref, record] of store.latest.all(needy.cls.name as ClassName)) {
        if (!needy.has(store.latest, ref, record as AnyRecord)) bereft.push([needy, ref]);
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
const removeFrom = (tx: Tx, catalog: Catalog, [{ cls, has }, ref]: Row): boolean => {
  const name = cls.name as ClassName;
  const record = tx.get(name, ref as Ref<any>) as AnyRecord | undefined;
  if (record === undefined || has(tx, ref, record)) return false;
  if (spareRows(catalog)(tx, name, ref, record)) return false;
  tx.delete(name, ref as Ref<any>);
  return true;
};

const needyOf = (cls: AnyClass): Needy => {
  const needs = (cls.needs ?? []).map((need) => [need].flat().map((field) => holder(cls, field)));
  return {
    cls,
    has: (view, ref, record) => needs.every((ways) => ways.some((holds) => holds(view, ref, record))),
  };
};

/** `VM`: the field names a row that there is. `host.metrics`: that field of some row names this one. */
const holder = (cls: AnyClass, field: string): Needy['has'] => {
  const [other = '', far] = field.split('.');
  if (far !== undefined) {
    return (view, ref) => {
      for (const [, row] of view.all(other as ClassName)) if ((row as AnyRecord)[far] === ref) return true;
      return false;
    };
  }
  const holding = heldBy(cls, field);
  const of = holding.of as ClassName;
  return (view, _, record) =>
    referencesIn(holding, record[field]).some((one) => view.get(of, one as Ref<any>) !== undefined);
};

const heldBy = (cls: AnyClass, field: string): Holding => {
  const type = cls.fields[field]?.type;
  const holding = type && holdingOf(type);
  if (holding === undefined) throw new Error(`${cls.name}.${field} names no rows`);
  return holding;
};
