// Goal: two hosts that have one folder of disks take nothing from each other, whatever each of them is doing.
// Method: the plugin and the datapath of two hosts in this process, on one folder; one acts in the middle of
//   what the other does.

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Disk } from '../../src/drivers/disk.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeFileLocks } from '../../src/drivers/node/file-locks.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { imageDatapath } from '../../src/plugins/datapath/plugin.ts';
import { filePlugin } from '../../src/plugins/file/plugin.ts';
import type { Methods } from '../../src/plugins/script.ts';

const SIZE = 4096;
const uuid = '5d1c7a34-0000-4000-8000-00000000000a';

let sr: string;
beforeEach(async () => {
  sr = await mkdtemp(join(tmpdir(), 'shared-sr-'));
});
afterEach(() => rm(sr, { recursive: true, force: true }));

const given = { disk: nodeDisk, processes: nodeProcesses, random: nodeRandom, locks: nodeFileLocks };
const hostNamed = (host: string, disk: Disk = nodeDisk) => {
  const plugin = filePlugin({ ...given, disk, host });
  const ask = <T = Described>(method: string, args: object): Promise<T> =>
    (plugin[method] as NonNullable<Methods[string]>)({ sr, ...args }) as Promise<T>;
  return {
    ask,
    create: () => ask('Volume.create', { name: 'v', description: '', size: SIZE, sharable: false }),
    attach: () => ask('SR.attach', { configuration: { location: sr } }),
    path: async (key: string) =>
      fileURLToPath(((await ask('Volume.stat', { key })).uri[0] ?? '').slice('raw+'.length)),
    datapath: imageDatapath({ disk: nodeDisk, locks: nodeFileLocks, host }),
  };
};

interface Described {
  readonly key: string;
  readonly uri: readonly string[];
}

const makeRaw = () =>
  hostNamed('a1').ask('SR.create', {
    uuid,
    name: 'n',
    description: '',
    configuration: { location: sr, format: 'raw' },
  });

/** Does something once, in the middle of a change: when its first note is about to be written. */
const interrupted = (meanwhile: () => Promise<unknown>): Disk => {
  let done = false;
  return {
    ...nodeDisk,
    replaceText: async (path, ...rest) => {
      if (!done && path.endsWith('.json')) {
        done = true;
        await meanwhile();
      }
      return nodeDisk.replaceText(path, ...rest);
    },
  };
};

describe('a folder that two hosts have', () => {
  it.each(['create', 'snapshot'])(
    'is not tidied up by one that attaches it in the middle of a Volume.%s of the other',
    async (method) => {
      await makeRaw();
      const { key } = await hostNamed('a1').create();
      await writeFile(await hostNamed('a1').path(key), Buffer.alloc(SIZE, 7));
      const first = hostNamed('a1', interrupted(hostNamed('b2').attach));
      const made = await (method === 'create' ? first.create() : first.ask('Volume.snapshot', { key }));
      const bytes = await readFile(await hostNamed('b2').path(made.key));
      expect(bytes).toEqual(Buffer.alloc(SIZE, method === 'create' ? 0 : 7));
    },
  );

  it('is tidied up by who attaches it while nobody works', async () => {
    await makeRaw();
    await hostNamed('a1').create();
    await writeFile(join(sr, '5d1c7a34-0000-4000-8000-00000000000b.raw'), '');
    await hostNamed('b2').attach();
    expect(await readdir(sr)).not.toContain('5d1c7a34-0000-4000-8000-00000000000b.raw');
  });

  it('keeps a disk from being changed until each of them has let go of it', async () => {
    await makeRaw();
    const [a, b] = [hostNamed('a1'), hostNamed('b2')];
    const { key, uri } = await a.create();
    const use = { uri: uri[0], domain: '7' };
    await a.datapath['Datapath.attach']?.(use);
    await b.datapath['Datapath.attach']?.(use);
    await a.datapath['Datapath.detach']?.(use);
    await expect(a.ask('Volume.resize', { key, new_size: 2 * SIZE })).rejects.toThrow(/VDI_IN_USE/);
    // As after a crash: what a host had is its own to forget.
    await a.attach();
    await expect(a.ask('Volume.destroy', { key })).rejects.toThrow(/VDI_IN_USE/);
    await b.attach();
    await a.ask('Volume.destroy', { key });
    expect((await readdir(sr)).filter((name) => name.includes('held'))).toEqual([]);
  });

  it('has a copy refused, and nothing lost, when the other changed the disk in the middle', async () => {
    await makeRaw();
    const { key } = await hostNamed('a1').create();
    const note = join(sr, `${key}.json`);
    const copied: Disk = {
      ...nodeDisk,
      openWithin: async (folder, name, how) => {
        // The image of the copy is there and is not noted yet.
        const other = JSON.parse(await readFile(note, 'utf8'));
        const image = '5d1c7a34-0000-4000-8000-00000000000c.raw';
        if (how === 'write') await writeFile(note, JSON.stringify({ ...other, image }));
        return nodeDisk.openWithin(folder, name, how);
      },
    };
    const before = await readdir(sr);
    await expect(hostNamed('a1', copied).ask('Volume.snapshot', { key })).rejects.toThrow(/Another host/);
    expect((await readdir(sr)).filter((name) => !name.endsWith('.lock'))).toEqual(
      before.filter((name) => !name.endsWith('.lock')),
    );
  });
});
