import type { ClassName } from '../model/class.ts';
import type { Store } from '../store/store.ts';
import type { Catalog } from './catalog.ts';

/**
 * What follows from rows, such as `allowed_operations`, is not on disk: after a start all of it is
 * derived once, before anybody looks.
 */
export const deriveAll = async (by: { readonly catalog: Catalog; readonly store: Store }): Promise<void> => {
  const derived = by.catalog.classes
    .map(({ name }) => name as ClassName)
    .filter((name) => by.catalog.behaviour(name)?.derive !== undefined);
  await by.store.commit((tx) => {
    for (const cls of derived) for (const [ref] of [...tx.all(cls)]) tx.touch(cls, ref);
  });
};
