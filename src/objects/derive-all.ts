import type { ClassName } from '../model/class.ts';
import type { Store } from '../store/store.ts';
import type { Catalog } from './catalog.ts';

interface By {
  readonly catalog: Catalog;
  readonly store: Store;
}

/**
 * What follows from rows, such as `allowed_operations`, is not on disk: after a start all of it is
 * derived once, before anybody looks.
 */
export const deriveAll = async (by: By): Promise<void> => {
  const derived = by.catalog.classes
    .map(({ name }) => name as ClassName)
    .filter((name) => by.catalog.behaviour(name)?.derive !== undefined);
  await by.store.commit((tx) => {
    for (const cls of derived) for (const [ref] of [...tx.all(cls)]) tx.touch(cls, ref);
  });
};

/**
 * The same before this host has decided anything, which is much cheaper for a large pool: the fields are set
 * in the rows as they were read from disk.
 */
export const deriveInPlace = ({ catalog, store }: By): void => {
  for (const { name } of catalog.classes) {
    const derive = catalog.behaviour(name)?.derive;
    if (derive === undefined) continue;
    for (const [ref, record] of store.latest.all(name as ClassName)) {
      store.amend(name, ref, derive(store.latest, ref as never, record as never));
    }
  }
};
