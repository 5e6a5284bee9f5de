// Goal: a database whose bytes can be read, but whose rows say what no row can say, is not started with.
// Method: rows with values of every wrong kind are written to LMDB in a temporary folder, and examined.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLog } from '../../src/std/log.ts';
import { examineStore } from '../../src/store/examine.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { shapesOf } from '../../src/store/shape.ts';
import { openStore } from '../../src/store/store.ts';
import { classes } from './classes.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-examine-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const examined = async (fields: object): Promise<unknown> => {
  const { store, replica } = openStore({ classes, durable: lmdbDurable(folder), log: silentLog });
  await store.commit((tx: any) => tx.create('shelf', 's1', { uuid: 'one', ...fields }));
  await replica.close();
  return examineStore(folder, shapesOf(classes)).then(
    ({ rows }) => rows,
    (error) => error.message,
  );
};

test('rows as their class declares them are counted', async () => {
  const good = { name_label: 'a', size: 1n << 62n, other_config: new Map([['a', 'b']]) };
  expect(await examined(good)).toBe(1);
});

test.each([
  ['name_label', 5n],
  ['size', 'large'],
  ['size', 1.5],
  ['other_config', ['a']],
  ['other_config', null],
])('a field %s of %s is named', async (field, value) => {
  expect(await examined({ [field]: value })).toBe(`the field ${field} of shelf s1 makes no sense`);
});
