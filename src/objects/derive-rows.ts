import type { ClassName } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Spare } from '../store/references.ts';
import type { StoreOptions } from '../store/store.ts';
import type { Draft } from '../store/transaction.ts';
import type { Tx } from '../store/view.ts';
import type { Catalog } from './catalog.ts';

/** What classes have follow from commits, as the store wants it. */
export const storeRules = (catalog: Catalog): Required<Pick<StoreOptions, 'derive' | 'spare'>> => ({
  derive: deriveRows(catalog),
  spare: spareRows(catalog),
});

/** A behaviour may keep a row that has lost what its class needs. */
export const spareRows =
  (catalog: Catalog): Spare =>
  (tx, cls, ref, record) =>
    catalog.behaviour(cls as ClassName)?.spare?.(tx, ref as Ref<any>, record as never) === true;

/** Adds what follows from a commit: the derived fields of its rows and of the rows that depend on them. */
export const deriveRows =
  (catalog: Catalog) =>
  (tx: Tx, drafts: readonly Pick<Draft, 'cls' | 'ref' | 'before' | 'record'>[]): void => {
    const targets = new Map<ClassName, Set<Ref>>();
    const add = (cls: ClassName, ref: Ref): void => {
      if (catalog.behaviour(cls)?.derive === undefined) return;
      const ofClass = targets.get(cls) ?? new Set();
      targets.set(cls, ofClass.add(ref));
    };
    for (const { cls, ref, before, record } of drafts) {
      add(cls as ClassName, ref as Ref);
      const affects = catalog.behaviour(cls)?.affects;
      if (affects === undefined) continue;
      // A row that was only touched depends on the same rows as before.
      for (const one of before?.record === record ? [record] : [before?.record, record]) {
        if (one !== undefined)
          for (const [other, otherRef] of affects(one as never, tx)) add(other, otherRef);
      }
    }
    for (const [cls, refs] of targets) {
      for (const ref of refs) {
        const record = tx.get(cls, ref as Ref<any>);
        if (record === undefined) continue;
        const derived = catalog.behaviour(cls)?.derive?.(tx, ref as Ref<any>, record as never);
        tx.patch(cls, ref as Ref<any>, derived as never);
      }
    }
  };
