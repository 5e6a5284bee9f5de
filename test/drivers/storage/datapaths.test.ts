// Goal: what is attached is known after a kill at any instant, and doing it again is all that is needed.
// Method: a counting backend and a disk that dies at the n-th step, reopened until the work is done.

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Disk } from '../../../src/drivers/disk.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import type { DatapathBackend } from '../../../src/drivers/storage/datapath-holdings.ts';
import { type Datapaths, openDatapaths } from '../../../src/drivers/storage/datapaths.ts';
import { stateFiles } from '../../../src/drivers/storage/state-files.ts';
import { turns } from '../../../src/drivers/storage/turns.ts';
import { silentLog } from '../../../src/std/log.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'state-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const call = { debugInfo: 'test' };
const volume = { sr: 'sr', key: 'a/key with ✓ and more' };
const use = { ...volume, datapath: 'vbd/1/xvda', vm: '1' };

/** Does what it is told, again if it is told again, and writes it down. */
const countingBackend = () => {
  const log: string[] = [];
  let refuse = '';
  const backend: DatapathBackend = {
    locate: async ({ key }) => ({ uri: `raw:${key}`, domain: '1' }),
    attach: async (_, { uri }) => {
      log.push('attach');
      if (refuse === 'attach') throw new Error('refused');
      return new Map([['implementations', [uri]]]);
    },
    drive: async (_, { uri }, action, access) => {
      expect(uri).toBe(`raw:${volume.key}`);
      if (refuse === action) throw new Error('refused');
      log.push(`${action} ${access}`);
    },
  };
  return {
    backend,
    log,
    refuse: (action: string) => {
      refuse = action;
    },
  };
};

const open = (backend: DatapathBackend, disk: Disk = nodeDisk, boot = 'boot 1'): Promise<Datapaths> =>
  openDatapaths({ backend, files: stateFiles(disk, folder, boot), turns: turns(10), log: silentLog });

describe('datapaths', () => {
  it('hand the first attach’s answer to those who come later, and tell the backend nothing twice', async () => {
    const { backend, log } = countingBackend();
    const datapaths = await open(backend);
    const answer = await datapaths.attach(use, 'RW', call);
    expect(await datapaths.attach({ ...use, datapath: 'second' }, 'RW', call)).toBe(answer);
    await datapaths.activate(use, call);
    await datapaths.activate({ ...use, datapath: 'second' }, call);
    await datapaths.deactivate(use, call);
    await datapaths.detach(use, call);
    expect(log).toEqual(['attach', 'activate RW']);
    await datapaths.destroy('second', false, call);
    expect(log).toEqual(['attach', 'activate RW', 'deactivate RW', 'detach RW']);
    expect(await readdir(folder)).toEqual([]);
  });

  it('are the same after a restart, and forgotten after a reboot', async () => {
    const { backend, log } = countingBackend();
    const first = await open(backend);
    await first.attach(use, 'RO', call);
    await first.activate(use, call);
    const second = await open(backend);
    expect(second.statesOf(volume)).toEqual(first.statesOf(volume));
    expect(second.backendOf(volume)).toEqual(first.backendOf(volume));
    const rebooted = await open(backend, nodeDisk, 'boot 2');
    expect(rebooted.statesOf(volume).superstate).toBe('Detached');
    expect(await readdir(folder)).toEqual([]);
    expect(log).toEqual(['attach', 'activate RO']);
  });

  it('survive a kill at every step: what was being done is done again', async () => {
    for (let steps = 0; ; steps += 1) {
      const { backend, log } = countingBackend();
      let left = steps;
      let died = false;
      /** Before an effect or a write: the power may go. */
      const mayDie = (): void => {
        if (died || left === 0) {
          died = true;
          throw new Error('killed');
        }
        left -= 1;
      };
      const dying: Disk = {
        ...nodeDisk,
        replaceText: async (...args) => {
          mayDie();
          return nodeDisk.replaceText(...args);
        },
        remove: async (path) => {
          mayDie();
          return nodeDisk.remove(path);
        },
      };
      const work = async (datapaths: Datapaths): Promise<void> => {
        await datapaths.attach(use, 'RW', call);
        await datapaths.activate(use, call);
        await datapaths.destroy(use.datapath, false, call);
      };
      await work(await open(backend, dying)).catch(() => {});
      const reopened = await open(backend);
      await work(reopened);
      expect(reopened.statesOf(volume).superstate).toBe('Detached');
      expect(log.slice(-1)).toEqual(['detach RW']);
      expect(await readdir(folder)).toEqual([]);
      if (!died) break;
      expect(steps).toBeLessThan(20);
    }
  });

  it('whose attach was cut short by a kill are taken back before anything else', async () => {
    const { backend, log } = countingBackend();
    // The state file as it was between the backend's answer and the note of it.
    let between: Parameters<Disk['replaceText']> | undefined;
    const noting: Disk = {
      ...nodeDisk,
      replaceText: async (...args) => {
        between ??= args;
        return nodeDisk.replaceText(...args);
      },
    };
    await (await open(backend, noting)).attach(use, 'RW', call);
    if (between !== undefined) await nodeDisk.replaceText(...between);
    const reopened = await open(backend);
    expect(reopened.statesOf(volume).superstate).toBe('Detached');
    expect(await reopened.withVolume(volume, call, async () => [...log])).toEqual(['attach', 'detach RW']);
    expect(await readdir(folder)).toEqual([]);
  });

  it('whose attach fails are taken back at once', async () => {
    const { backend, log, refuse } = countingBackend();
    const datapaths = await open(backend);
    refuse('attach');
    await expect(datapaths.attach(use, 'RW', call)).rejects.toThrow('refused');
    expect(log).toEqual(['attach', 'detach RW']);
    expect(await readdir(folder)).toEqual([]);
  });

  it('that cannot be ended are leaked, and ended before anything else happens to the volume', async () => {
    const { backend, log, refuse } = countingBackend();
    const datapaths = await open(backend);
    await datapaths.attach(use, 'RW', call);
    refuse('detach');
    await expect(datapaths.destroy(use.datapath, false, call)).rejects.toThrow('refused');
    await expect(datapaths.withVolume(volume, call, async () => 'snapshot')).rejects.toThrow('refused');
    const reopened = await open(backend);
    refuse('');
    expect(await reopened.withVolume(volume, call, async () => 'snapshot')).toBe('snapshot');
    expect(log).toEqual(['attach', 'detach RW']);
    expect(reopened.statesOf(volume).states.size).toBe(0);
  });

  it('that may be leaked are forgotten', async () => {
    const { backend, refuse } = countingBackend();
    const datapaths = await open(backend);
    await datapaths.attach(use, 'RW', call);
    refuse('detach');
    await datapaths.destroy(use.datapath, true, call);
    expect(datapaths.statesOf(volume).states.size).toBe(0);
    expect(await readdir(folder)).toEqual([]);
  });

  it('all end with their SR, whatever the backend says, while nothing else of it runs', async () => {
    const { backend, log, refuse } = countingBackend();
    const datapaths = await open(backend);
    await datapaths.attach(use, 'RW', call);
    await datapaths.attach({ ...use, datapath: 'reader' }, 'RO', call);
    await datapaths.activate(use, call);
    let finish = (): void => {};
    const running = datapaths.withVolume(
      volume,
      call,
      () => new Promise<void>((resolve) => (finish = resolve)),
    );
    refuse('deactivate');
    const freed = datapaths.withFreeSr('sr', call, async () => [...log]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(log).toEqual(['attach', 'activate RW']);
    finish();
    await running;
    expect(await freed).toEqual(['attach', 'activate RW']);
    expect(datapaths.statesOf(volume).states.size).toBe(0);
  });

  it('refuse a state file of another version, and say what to do', async () => {
    await writeFile(join(folder, 'x.json'), '{"format":99}');
    await expect(open(countingBackend().backend)).rejects.toThrow(
      /does not say any more which disks are in use.*Halt the guests/,
    );
  });
});
