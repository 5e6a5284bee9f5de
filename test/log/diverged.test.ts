// Goal: what a host had answered and its pool lacks is kept within limits, and dropped nowhere in silence.
// Method: the files on a disk in memory, with small limits.
import { expect, test } from 'vitest';
import { divergedFiles } from '../../src/log/diverged.ts';
import { memoryDisk } from '../../src/simulation/memory-disk.ts';
import { simulated } from '../simulation/simulated.ts';

const opened = (limits: { filesMax?: number; bytesMax?: number } = {}) => {
  const { life, random, loop } = simulated('diverged');
  const own = life('host');
  const disk = memoryDisk({ random }).of(own);
  return { loop, files: divergedFiles({ disk, folder: '/diverged', now: () => 7, ...limits }) };
};

const set = (to: number, text = 'x') => ({
  ...{ epoch: 3, from: 1, to },
  rows: [{ cls: 'VM', ref: 'OpaqueRef:1', generation: to, fields: { name_label: text, memory: 2n ** 60n } }],
});

test('what is set aside is listed with its rows until it is removed', async () => {
  const { files, loop } = opened();
  await loop.finish(files.keep(set(5)));
  const [kept] = await loop.finish(files.list());
  expect(kept).toMatchObject({ name: '3-5.json', epoch: 3, from: 1, to: 5, at: 7, told: false });
  expect(kept?.rows[0]?.fields).toEqual({ name_label: 'x', memory: String(2n ** 60n) });
  await loop.finish(files.tell('3-5.json'));
  expect((await loop.finish(files.list()))[0]?.told).toBe(true);
  expect(await loop.finish(files.remove('3-5.json'))).toBe(true);
  expect(await loop.finish(files.remove('../pool.json'))).toBe(false);
  expect(await loop.finish(files.list())).toEqual([]);
});

test('more files than are kept are refused with what to do, and the ones that are there stay', async () => {
  const { files, loop } = opened({ filesMax: 2 });
  await loop.finish(files.keep(set(1)));
  await loop.finish(files.keep(set(2)));
  await expect(loop.finish(files.keep(set(3)))).rejects.toThrow('xenact diverged');
  // The same changes once more are no further file.
  await loop.finish(files.keep(set(2)));
  expect((await loop.finish(files.list())).map(({ to }) => to)).toEqual([1, 2]);
});

test('one that is too large is refused with what to do, and leaves nothing half written', async () => {
  const { files, loop } = opened({ bytesMax: 1_000 });
  await expect(loop.finish(files.keep(set(1, 'x'.repeat(1_000))))).rejects.toThrow('--rebuild');
  expect(await loop.finish(files.list())).toEqual([]);
});
