// Goal: whatever is copied, changed, removed or interrupted, every disk of a file SR keeps its own contents.
// Method: the plugin in this process on real images; random trees against a model, a kill at every step
// of every change, and a file system that is full.

import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Disk } from '../../src/drivers/disk.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeFileLocks } from '../../src/drivers/node/file-locks.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import type { Processes } from '../../src/drivers/processes.ts';
import { imageDatapath } from '../../src/plugins/datapath/plugin.ts';
import { filePlugin } from '../../src/plugins/file/plugin.ts';
import type { Methods } from '../../src/plugins/script.ts';
import { hasQemu } from '../qemu-img.ts';

vi.setConfig({ testTimeout: 180_000 });

const SIZE = 64 * 1024;
const uuid = '5d1c7a34-0000-4000-8000-00000000000a';
const formats = hasQemu ? (['raw', 'qcow2'] as const) : (['raw'] as const);
const real = {
  disk: nodeDisk,
  processes: nodeProcesses,
  random: nodeRandom,
  locks: nodeFileLocks,
  host: 'a0',
};

interface Described {
  readonly key: string;
  readonly virtual_size: number;
  readonly uri: readonly string[];
}

let sr: string;
beforeEach(async () => {
  sr = await mkdtemp(join(tmpdir(), 'file-sr-'));
});
afterEach(() => rm(sr, { recursive: true, force: true }));

/** What there is but locks, which stay. */
const files = async (): Promise<readonly string[]> =>
  (await readdir(sr)).filter((name) => !name.endsWith('.lock'));
const ask = <T>(plugin: Methods, method: string, args: object): Promise<T> =>
  plugin[method]!({ sr, ...args }) as Promise<T>;
const make = (plugin: Methods, format: string) =>
  ask(plugin, 'SR.create', { uuid, name: 'n', description: 'd', configuration: { location: sr, format } });
const create = async (plugin: Methods): Promise<string> => {
  const args = { name: 'v', description: '', size: SIZE, sharable: false };
  return (await ask<Described>(plugin, 'Volume.create', args)).key;
};

const imageOf = async (plugin: Methods, key: string): Promise<{ format: string; path: string }> => {
  const { uri } = await ask<Described>(plugin, 'Volume.stat', { key });
  const [, format = '', url = ''] = /^(\w+)\+(.*)$/.exec(uri[0] ?? '') ?? [];
  return { format, path: fileURLToPath(url) };
};
const fill = async (plugin: Methods, key: string, byte: number): Promise<void> => {
  const { format, path } = await imageOf(plugin, key);
  if (format === 'raw') {
    const size = (await readFile(path)).length;
    await writeFile(path, Buffer.alloc(size, byte));
  } else {
    execFileSync('qemu-io', ['-f', format, '-c', `write -P ${byte} 0 ${SIZE}`, path], { stdio: 'ignore' });
  }
};
const read = async (plugin: Methods, key: string): Promise<Buffer> => {
  const { format, path } = await imageOf(plugin, key);
  if (format === 'raw') return readFile(path);
  const out = `${sr}.raw`;
  execFileSync('qemu-img', ['convert', '-f', format, '-O', 'raw', path, out]);
  const bytes = await readFile(out);
  await rm(out);
  return bytes;
};
const holds = async (plugin: Methods, key: string, byte: number): Promise<void> => {
  const bytes = await read(plugin, key);
  expect(bytes.subarray(0, SIZE).every((found) => found === byte)).toBe(true);
};

/** Raw images stand on nothing. */
const stackable = (format: string): readonly string[] => (format === 'raw' ? [] : [format]);

describe.each(formats)('disks in %s images', (format) => {
  const operation = fc.record({
    do: fc.constantFrom(
      ...['create', 'snapshot', 'clone', 'fill', 'fill', 'destroy', 'grow', 'reattach', 'collapse'],
    ),
    which: fc.nat(),
    byte: fc.integer({ min: 1, max: 255 }),
  });

  it('keep their own contents through random trees of copies, and leave nothing behind', async () => {
    const plugin = filePlugin(real);
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 4, maxLength: 14 }), async (operations) => {
        await make(plugin, format);
        const model = new Map<string, { byte: number; size: number }>();
        model.set(await create(plugin), { byte: 0, size: SIZE });
        for (const { do: what, which, byte } of operations) {
          const [key, volume] = [...model][which % Math.max(1, model.size)] ?? [];
          if (what === 'create') model.set(await create(plugin), { byte: 0, size: SIZE });
          if (what === 'collapse') await ask(plugin, 'SR.collapse', {});
          if (what === 'reattach') await plugin['SR.attach']!({ configuration: { location: sr } });
          if (key === undefined || volume === undefined) continue;
          if (what === 'snapshot' || what === 'clone') {
            const made = await ask<Described>(plugin, `Volume.${what}`, { key });
            model.set(made.key, { ...volume });
          } else if (what === 'fill') {
            await fill(plugin, key, byte);
            volume.byte = byte;
          } else if (what === 'grow') {
            volume.size += 1024;
            await ask(plugin, 'Volume.resize', { key, new_size: volume.size });
          } else if (what === 'destroy') {
            await ask(plugin, 'Volume.destroy', { key });
            model.delete(key);
          }
        }
        const all = await ask<readonly Described[]>(plugin, 'SR.ls', {});
        expect(new Map(all.map(({ key, virtual_size }) => [key, virtual_size]))).toEqual(
          new Map([...model].map(([key, { size }]) => [key, size])),
        );
        for (const [key, { byte }] of model) await holds(plugin, key, byte);
        for (const key of model.keys()) await ask(plugin, 'Volume.destroy', { key });
        expect(await files()).toEqual(['sr.json']);
      }),
      { numRuns: 10, interruptAfterTimeLimit: 60_000 },
    );
  });

  it.each(['create', 'snapshot', 'clone', 'destroy', 'resize', 'set_name'])(
    'are whole after a kill at any step of Volume.%s, once the SR is attached again',
    async (method) => {
      const plugin = filePlugin(real);
      await make(plugin, format);
      for (let steps = 0; ; steps += 1) {
        expect(steps).toBeLessThan(60);
        const source = await create(plugin);
        await fill(plugin, source, 1);
        const older = (await ask<Described>(plugin, 'Volume.clone', { key: source })).key;
        const { given, hasDied } = dyingAfter(steps);
        const args = { key: source, name: 'v', description: '', size: SIZE, sharable: false };
        await ask(filePlugin(given), `Volume.${method}`, {
          ...args,
          new_size: 2 * SIZE,
          new_name: 'w',
        }).catch((error) => {
          if (!hasDied()) throw error;
        });

        await plugin['SR.attach']!({ configuration: { location: sr } });
        const all = await ask<readonly Described[]>(plugin, 'SR.ls', {});
        const keys = all.map(({ key }) => key);
        expect(keys).toContain(older);
        if (method !== 'destroy') expect(keys).toContain(source);
        const isEmpty = (key: string) => method === 'create' && key !== source && key !== older;
        const bytes = new Map(keys.map((key) => [key, isEmpty(key) ? 0 : 1]));
        const check = async () => {
          for (const [key, byte] of bytes) await holds(plugin, key, byte);
        };
        await check();
        // Writing to one must not show in another, whoever shared images before.
        for (const [index, key] of keys.entries()) {
          await fill(plugin, key, index + 2);
          bytes.set(key, index + 2);
          await check();
        }
        for (const key of keys) await ask(plugin, 'Volume.destroy', { key });
        expect(await files()).toEqual(['sr.json']);
        if (!hasDied()) break;
      }
    },
  );

  it.each(stackable(format))(
    'stand on no image that nobody needs once chains are collapsed, whatever is killed meanwhile',
    async () => {
      const plugin = filePlugin(real);
      await make(plugin, format);
      const disk = await create(plugin);
      const quarter = async (index: number, byte: number): Promise<void> => {
        const { path } = await imageOf(plugin, disk);
        const write = `write -P ${byte} ${(index * SIZE) / 4} ${SIZE / 4}`;
        execFileSync('qemu-io', ['-f', format, '-c', write, path], { stdio: 'ignore' });
      };
      const snapshot = async (): Promise<string> =>
        (await ask<Described>(plugin, 'Volume.snapshot', { key: disk })).key;
      await quarter(0, 1);
      const kept = await snapshot();
      await quarter(1, 2);
      const gone = [await snapshot()];
      await quarter(2, 3);
      gone.push(await snapshot());
      await quarter(0, 4);
      const [before, keptBefore] = [await read(plugin, disk), await read(plugin, kept)];
      for (const key of gone) await ask(plugin, 'Volume.destroy', { key });
      const images = async () => (await files()).filter((name) => name.endsWith('.qcow2')).length;
      expect(await images()).toBe(5);
      for (let steps = 0; ; steps += 1) {
        expect(steps).toBeLessThan(400);
        const { given, hasDied } = dyingAfter(steps);
        const answer = await ask<{ left: number }>(filePlugin(given), 'SR.collapse', {}).catch((error) => {
          if (!hasDied()) throw error;
          return undefined;
        });
        expect(await read(plugin, disk)).toEqual(before);
        expect(await read(plugin, kept)).toEqual(keptBefore);
        if (answer?.left === 0) break;
      }
      await plugin['SR.attach']!({ configuration: { location: sr } });
      // The first image is needed by both, and each has its own above it.
      expect(await images()).toBe(3);
      for (const key of [disk, kept]) await ask(plugin, 'Volume.destroy', { key });
      expect(await files()).toEqual(['sr.json']);
    },
  );

  it.each(stackable(format))('keep a large image below a small one until that has grown', async () => {
    const plugin = filePlugin(real);
    await make(plugin, format);
    const size = 256 * 1024 * 1024;
    const about = { name: 'v', description: '', size, sharable: false };
    const { key } = await ask<Described>(plugin, 'Volume.create', about);
    const write = async (mib: number): Promise<void> => {
      const { path } = await imageOf(plugin, key);
      execFileSync('qemu-io', ['-f', format, '-c', `write -P 7 0 ${mib}M`, path], { stdio: 'ignore' });
    };
    await write(80);
    const snapshot = await ask<Described>(plugin, 'Volume.snapshot', { key });
    await ask(plugin, 'Volume.destroy', { key: snapshot.key });
    await write(1);
    expect(await ask(plugin, 'SR.collapse', {})).toEqual({ left: 0 });
    expect((await files()).filter((name) => name.endsWith('.qcow2'))).toHaveLength(2);
    await write(48);
    expect(await ask(plugin, 'SR.collapse', { looking: true })).toEqual({ left: 1 });
    expect(await ask(plugin, 'SR.collapse', {})).toEqual({ left: 0 });
    expect((await files()).filter((name) => name.endsWith('.qcow2'))).toHaveLength(1);
  });

  it.each(stackable(format))(
    'are not touched by a collapse while a datapath has them, nor what is written meanwhile',
    async () => {
      const plugin = filePlugin(real);
      const datapath = imageDatapath(real);
      await make(plugin, format);
      const disk = await create(plugin);
      await fill(plugin, disk, 1);
      const { key } = await ask<Described>(plugin, 'Volume.snapshot', { key: disk });
      await ask(plugin, 'Volume.destroy', { key });
      const { uri } = await ask<Described>(plugin, 'Volume.stat', { key: disk });
      const attach = (): Promise<unknown> => datapath['Datapath.attach']!({ uri: uri[0], domain: '7' });
      await attach();
      expect(await ask(plugin, 'SR.collapse', {})).toEqual({ left: 0 });
      await datapath['Datapath.detach']!({ uri: uri[0] });
      // It is handed out, written to and given back while its copy is being made.
      let given = false;
      const processes: Processes = {
        ...nodeProcesses,
        run: async (file, args, options) => {
          const finished = await nodeProcesses.run(file, args, options);
          if (file === 'qemu-img' && args.includes('rebase') && !given) {
            given = true;
            await attach();
            await fill(plugin, disk, 2);
            await datapath['Datapath.detach']!({ uri: uri[0] });
          }
          return finished;
        },
      };
      await ask(filePlugin({ ...real, processes }), 'SR.collapse', {});
      expect(given).toBe(true);
      await holds(plugin, disk, 2);
      expect(await ask(plugin, 'SR.collapse', {})).toEqual({ left: 0 });
      await holds(plugin, disk, 2);
      expect((await files()).filter((name) => name.endsWith('.qcow2'))).toHaveLength(1);
    },
  );

  it.each(stackable(format))(
    'stay as a host was told of them, also far below, until it has read them',
    async () => {
      const plugin = filePlugin(real);
      const datapath = imageDatapath(real);
      await make(plugin, format);
      const disk = await create(plugin);
      for (const byte of [1, 2]) {
        await fill(plugin, disk, byte);
        const { key } = await ask<Described>(plugin, 'Volume.snapshot', { key: disk });
        await ask(plugin, 'Volume.destroy', { key });
      }
      const { uri } = await ask<Described>(plugin, 'Volume.stat', { key: disk });
      const told = await files();
      await datapath['Datapath.attach']!({ uri: uri[0], domain: 'u0-host_1' });
      expect(await ask(plugin, 'SR.collapse', {})).toEqual({ left: 0 });
      expect(await files()).toEqual(expect.arrayContaining([...told]));
      await datapath['Datapath.detach']!({ uri: uri[0] });
      while ((await ask<{ left: number }>(plugin, 'SR.collapse', {})).left > 0);
      await holds(plugin, disk, 2);
      expect((await files()).filter((name) => name.endsWith('.qcow2'))).toHaveLength(1);
    },
  );

  it('are refused in plain words when the file system is full, and those there stay whole', async (context) => {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=640k', 'none', sr], { stdio: 'ignore' });
    } catch {
      context.skip('a small file system could not be mounted here');
    }
    try {
      const plugin = filePlugin(real);
      await make(plugin, format);
      const key = await create(plugin);
      await fill(plugin, key, 7);
      const before = (await files()).length;
      await writeFile(join(sr, 'filler'), Buffer.alloc(640 * 1024)).catch(() => {});
      for (const method of ['create', 'snapshot', 'set_name']) {
        const args = { key, name: 'v'.repeat(8192), description: '', size: SIZE, sharable: false };
        const refused = ask(plugin, `Volume.${method}`, { ...args, new_name: 'w'.repeat(8192) });
        await expect(refused).rejects.toSatisfy(
          (error: any) => error.code === 'ENOSPC' || error.params[0] === 'ENOSPC',
        );
      }
      await rm(join(sr, 'filler'));
      expect((await files()).length).toBe(before);
      await holds(plugin, key, 7);
    } finally {
      execFileSync('umount', [sr]);
    }
  });

  it('are copied, not built upon, while a datapath holds them', async () => {
    const plugin = filePlugin(real);
    const datapath = imageDatapath(real);
    await make(plugin, format);
    const key = await create(plugin);
    await fill(plugin, key, 1);
    const held = await imageOf(plugin, key);
    const use = { uri: `${held.format}+file://${held.path}`, domain: '7' };
    await datapath['Datapath.attach']!(use);
    const copy = (await ask<Described>(plugin, 'Volume.snapshot', { key })).key;
    expect(await imageOf(plugin, key)).toEqual(held);
    await expect(ask(plugin, 'Volume.destroy', { key })).rejects.toThrow(/VDI_IN_USE/);
    await fill(plugin, key, 2);
    await datapath['Datapath.detach']!(use);
    await datapath['Datapath.detach']!(use);
    await holds(plugin, copy, 1);
    await ask(plugin, 'Volume.destroy', { key });
  });
});

describe.skipIf(!hasQemu)('a chain of qcow2 images (skipped where qemu-img is not installed)', () => {
  it('does not grow beyond its limit: a copy then stands alone', async () => {
    const plugin = filePlugin(real);
    await make(plugin, 'qcow2');
    const key = await create(plugin);
    await fill(plugin, key, 5);
    let last = key;
    for (let copies = 0; copies < 70; copies += 1) {
      last = (await ask<Described>(plugin, 'Volume.snapshot', { key })).key;
    }
    await holds(plugin, last, 5);
    await holds(plugin, key, 5);
    const { path } = await imageOf(plugin, last);
    const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path], { encoding: 'utf8' }));
    expect(info['backing-filename']).toBeUndefined();
  });

  it('is not built upon while some process writes it, though nobody said so', async () => {
    const plugin = filePlugin(real);
    await make(plugin, 'qcow2');
    const key = await create(plugin);
    const { path } = await imageOf(plugin, key);
    const pidFile = join(sr, 'pid');
    const args = ['--fork', `--pid-file=${pidFile}`, `--socket=${join(sr, 's')}`, '--format=qcow2', path];
    execFileSync('qemu-nbd', args);
    try {
      await ask(plugin, 'Volume.snapshot', { key });
      expect(await imageOf(plugin, key)).toEqual({ format: 'qcow2', path });
    } finally {
      process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGKILL');
    }
  });

  it('that leads out of the SR is refused', async () => {
    const plugin = filePlugin(real);
    await make(plugin, 'qcow2');
    const key = await create(plugin);
    const { path } = await imageOf(plugin, key);
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/hostname', path]);
    await expect(ask(plugin, 'Volume.clone', { key })).rejects.toThrow(/stands on/);
  });
});

/** Disk and programs until the n-th step, just before or just after something changed; then nothing works. */
const dyingAfter = (steps: number) => {
  let left = steps;
  let died = false;
  const step = (): void => {
    if (died || left === 0) {
      died = true;
      throw new Error('killed');
    }
    left -= 1;
  };
  const mortal = async <T>(work: () => Promise<T>): Promise<T> => {
    step();
    const result = await work();
    step();
    return result;
  };
  const disk: Disk = {
    ...nodeDisk,
    replaceText: (...args) => mortal(() => nodeDisk.replaceText(...args)),
    remove: (path) => mortal(() => nodeDisk.remove(path)),
  };
  const processes: Processes = {
    ...nodeProcesses,
    run: (...args) =>
      args[0] === 'stat' ? nodeProcesses.run(...args) : mortal(() => nodeProcesses.run(...args)),
  };
  return { given: { ...real, disk, processes }, hasDied: () => died };
};
