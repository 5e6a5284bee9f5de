import { ABORT, open } from 'lmdb';
import { lmdbDurable } from './lmdb.ts';
import { misshapen, type Shapes } from './shape.ts';

/** What a database says of itself once all of it could be read. */
export interface Examined {
  readonly rows: number;
  /** How many hosts its pool has. */
  readonly hosts: number;
  /** The newest epoch in its history. */
  readonly epoch: number;
}

/**
 * Reads everything in a database and walks its list of free pages; `shapes` says what rows are to be like. Of
 * one that is damaged this throws, or ends the whole process, so it is for a process of its own.
 */
export const examineStore = async (folder: string, shapes: Shapes): Promise<Examined> => {
  const durable = lmdbDurable(folder);
  const { rows, epochs, generation } = durable.load();
  let [count, hosts] = [0, 0];
  for (const { cls, ref, created, modified, fields } of rows) {
    const whole = [created, modified].every(Number.isSafeInteger) && typeof fields === 'object';
    if (!whole || fields === null || modified > generation)
      throw new Error(`the row ${cls} ${ref} makes no sense`);
    const field = misshapen(shapes, cls, fields);
    if (field !== undefined) throw new Error(`the field ${field} of ${cls} ${ref} makes no sense`);
    count += 1;
    if (cls === 'host') hosts += 1;
  }
  await durable.close();
  await walkFreePages(folder);
  return { rows: count, hosts, epoch: epochs?.at(-1)?.[0] ?? 0 };
};

const walkedBytes = 1 << 16;

/** A write takes its pages from those that are free; this one is taken back. */
const walkFreePages = async (folder: string): Promise<void> => {
  const root = open({ path: folder, maxDbs: 4 });
  const scratch = root.openDB({ name: 'meta' });
  root.transactionSync(() => {
    scratch.put('walk', 'x'.repeat(walkedBytes));
    return ABORT;
  });
  await root.close();
};
