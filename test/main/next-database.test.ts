// Goal: a database that is to take the place of another does so as a whole, whenever the program is killed.
// Method: real folders, left as a kill between any two steps leaves them, and the start that comes after.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { machine } from '../../src/main/machine.ts';
import { keepNext, takeNext } from '../../src/main/next-database.ts';
import { type Paths, pathsOf } from '../../src/main/paths.ts';
import type { Ref } from '../../src/model/types.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';

let paths: Paths;
beforeEach(async () => {
  paths = pathsOf(await mkdtemp(join(tmpdir(), 'xenact-next-')));
});
afterEach(() => rm(paths.data, { recursive: true, force: true }));

const next = {
  host: 'OpaqueRef:h' as Ref<'host'>,
  generation: 50,
  rows: [{ cls: 'VM', ref: 'OpaqueRef:v', created: 3, modified: 4, fields: { uuid: 'v' } }],
};

const used = (): void => {
  mkdirSync(paths.store);
  writeFileSync(join(paths.store, 'data.mdb'), 'the one before');
  writeFileSync(paths.pool, '{"before": true}');
  writeFileSync(paths.storeSeal, 'sealed');
};

const taken = async (): Promise<void> => {
  await takeNext(machine, paths, () => {});
  const durable = lmdbDurable(paths.store);
  const { rows, generation } = durable.load();
  expect([[...rows], generation]).toEqual([next.rows, 50]);
  await durable.close();
  expect(JSON.parse(readFileSync(paths.pool, 'utf8'))).toMatchObject({ host: next.host, epoch: 7 });
  expect([existsSync(paths.next), existsSync(paths.storeSeal)]).toEqual([false, false]);
};

const setAside = (): readonly string[] =>
  readdirSync(paths.data).filter((name) => name.startsWith('store.before-'));

test('it is taken into an empty folder', async () => {
  await keepNext(machine, paths, next, 7);
  await taken();
  expect(setAside()).toEqual([]);
});

test('the one before stays beside it', async () => {
  used();
  await keepNext(machine, paths, next, 7);
  await taken();
  const [before = ''] = setAside();
  expect(readFileSync(join(paths.data, before, 'data.mdb'), 'utf8')).toBe('the one before');
});

test('one that was not whole yet is dropped, and the one before goes on', async () => {
  used();
  await keepNext(machine, paths, next, 7);
  rmSync(join(paths.next, 'pool.json'));
  await takeNext(machine, paths, () => {});
  expect(readFileSync(join(paths.store, 'data.mdb'), 'utf8')).toBe('the one before');
  expect([existsSync(paths.next), existsSync(paths.storeSeal), setAside()]).toEqual([false, true, []]);
});

test.each([
  ['set aside', (): void => renameSync(paths.store, `${paths.store}.before-1`)],
  [
    'set aside and replaced',
    (): void => {
      renameSync(paths.store, `${paths.store}.before-1`);
      renameSync(join(paths.next, 'store'), paths.store);
    },
  ],
])('a kill once the one before is %s is made up for by the next start', async (_, upTo) => {
  used();
  await keepNext(machine, paths, next, 7);
  upTo();
  await taken();
  expect(setAside()).toEqual(['store.before-1']);
});
