// Goal: a storage plugin that is put on a host, changed or taken away is noticed without a restart.
// Method: a watched folder, and files that come and go in it; each look notes what it finds.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { watchPlugins } from '../../src/main/watched-plugins.ts';
import { silentLog } from '../../src/std/log.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plugins-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('looks again for what appears, changes and goes, also in folders that are new', async () => {
  const plugin = join(folder, 'volume', 'org.xen.xapi.storage.odd');
  const script = join(plugin, 'Plugin.query');
  const found: string[] = [];
  let seen = (): void => {};
  const watched = watchPlugins({ clock: nodeClock, log: silentLog }, folder, async () => {
    found.push(await readFile(script, 'utf8').catch(() => 'nothing'));
    seen();
  });
  const after = (step: () => Promise<unknown>): Promise<unknown> => {
    const looked = new Promise<void>((resolve) => {
      seen = resolve;
    });
    return Promise.all([step(), looked]);
  };
  await after(() => mkdir(plugin, { recursive: true }));
  await after(() => writeFile(script, 'one'));
  await after(() => writeFile(script, 'two'));
  await after(() => rm(join(folder, 'volume'), { recursive: true }));
  expect([...new Set(found)]).toEqual(['nothing', 'one', 'two']);
  expect(found.at(-1)).toBe('nothing');
  await watched.close();
});

it('without a folder says so and goes on', async () => {
  const said: string[] = [];
  const log = { ...silentLog, warn: (_: object, text: string) => said.push(text) };
  const watched = watchPlugins({ clock: nodeClock, log }, join(folder, 'none'), async () => {});
  await watched.close();
  expect(said).toEqual([expect.stringContaining('before the next start')]);
});
