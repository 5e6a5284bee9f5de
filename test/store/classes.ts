import { type AnyClass, defineClass, dyn, rw } from '../../src/model/class.ts';
import { int, nullRef, ref, set, string, stringMap } from '../../src/model/types.ts';

/** Two small classes with a relation between them, for tests of the store alone. */
export const shelf = defineClass('shelf', {
  doc: 'Holds books.',
  writeRole: 'pool-admin',
  messages: {},
  fields: {
    uuid: dyn(string, 'Identifier.'),
    name_label: rw(string, 'Name.', { default: '', column: 'name__label' }),
    size: rw(int, 'Any integer.', { default: 0n }),
    books: dyn(set(ref('book')), 'Books on it.', { inverse: 'book.shelf', computed: true }),
    other_config: rw(stringMap, 'Anything.', { default: new Map() }),
  },
});

export const book = defineClass('book', {
  doc: 'Stands on a shelf.',
  writeRole: 'pool-admin',
  messages: {},
  fields: {
    uuid: dyn(string, 'Identifier.'),
    shelf: rw(ref('shelf'), 'Where it stands.', { inverse: 'shelf.books' }),
    lentTo: dyn(ref('shelf'), 'Where it is for now.', { default: nullRef, indexed: true }),
    progress: dyn(int, 'Page read last.', { default: 0n, persist: false }),
  },
});

export const classes: readonly AnyClass[] = [shelf, book];
