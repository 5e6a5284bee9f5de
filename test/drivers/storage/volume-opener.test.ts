// Goal: a volume is reached by whatever its datapath offers, and no image server is left behind.
// Method: real files and, where it is installed, qemu-nbd.

import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';
import { volumeOpener } from '../../../src/drivers/storage/volume-opener.ts';
import { struct, type Value } from '../../../src/std/value.ts';

vi.setConfig({ testTimeout: 60_000 });
const hasQemu = (() => {
  try {
    execFileSync('qemu-nbd', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

let folder: string;
let image: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'opener-'));
  image = join(folder, 'image');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const opener = () =>
  volumeOpener({
    processes: nodeProcesses,
    disk: nodeDisk,
    network: nodeNetwork,
    clock: nodeClock,
    folder: join(folder, 'nbd'),
  });
const backend = (
  ...implementations: readonly (readonly [string, Readonly<Record<string, Value>>])[]
): Value => struct({ implementations: implementations.map(([tag, members]) => [tag, struct(members)]) });
const xenDisk = (format: string) =>
  ['XenDisk', { params: image, extra: struct({ format }), backend_type: 'vbd' }] as const;
const ended = async (pid: number): Promise<void> => {
  if (nodeProcesses.isAlive(pid)) return new Promise<void>((r) => setImmediate(r)).then(() => ended(pid));
};

describe('a volume', () => {
  it.each<[string, () => Value]>([
    ['a file', () => backend(['File', { path: image }])],
    ['a block device', () => backend(['BlockDevice', { path: image }])],
    ['parameters for Xen', () => backend(xenDisk('raw'))],
    ['a file beside NBD', () => backend(['Nbd', { uri: 'nbd:unix:/none' }], ['File', { path: image }])],
  ])('is reached by %s', async (_, place) => {
    await writeFile(image, Buffer.alloc(4096, 3));
    const volume = await (await opener()).open(place(), true);
    await volume.write(Buffer.from('x'), 4095n);
    await volume.close();
    await volume.close();
    await expect(volume.flush()).rejects.toThrow(/closed/);
    expect((await readFile(image))[4095]).toBe('x'.charCodeAt(0));
  });

  it.each<[string, () => Value]>([
    ['nothing', () => backend()],
    ['a relative path', () => backend(['File', { path: 'image' }])],
    ['an address that is not one', () => backend(['Nbd', { uri: 'http://example' }])],
  ])('that offers %s is refused', async (_, place) => {
    await expect((await opener()).open(place(), false)).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE' });
  });
});

describe.skipIf(!hasQemu)('an image (skipped where qemu-nbd is not installed)', () => {
  beforeEach(() => {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, '65536']);
  });

  it('is let go when its volume is closed', async () => {
    const open = await opener();
    for (const byte of [1, 2]) {
      const volume = await open.open(backend(xenDisk('qcow2')), true);
      await expect(open.open(backend(xenDisk('qcow2')), true)).rejects.toMatchObject({ code: 'VDI_IN_USE' });
      await volume.write(Buffer.alloc(512, byte), 0n);
      await volume.close();
      expect(await readdir(join(folder, 'nbd'))).toEqual([]);
    }
  });

  it('whose server nobody ever reached is let go at the next start', async () => {
    await opener();
    const [socket, pidFile] = [join(folder, 'nbd/1.sock'), join(folder, 'nbd/1.pid')];
    const args = ['--fork', `--socket=${socket}`, `--pid-file=${pidFile}`, '--export-name=volume'];
    execFileSync('qemu-nbd', [...args, '--format=qcow2', image]);
    const pid = Number(await readFile(pidFile, 'utf8'));
    await opener();
    await ended(pid);
    expect(await readdir(join(folder, 'nbd'))).toEqual([]);
  });

  it('that is damaged is refused with the reason', async () => {
    await writeFile(image, 'not an image');
    await expect((await opener()).open(backend(xenDisk('qcow2')), false)).rejects.toMatchObject({
      code: 'SR_BACKEND_FAILURE',
      params: ['The image could not be opened', '', expect.stringContaining('qcow2')],
    });
  });

  it('stands on what its datapath says, and on nothing that only its own head says', async () => {
    const [below, top] = [join(folder, 'below'), join(folder, 'top')];
    for (const name of [below, image]) {
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', name, '65536']);
      const byte = name === below ? 7 : 9;
      execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P ${byte} 0 512`, name], { stdio: 'ignore' });
    }
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', image, top]);
    const first = async (extra: Readonly<Record<string, string>>): Promise<number | undefined> => {
      const place = ['XenDisk', { params: top, extra: struct({ format: 'qcow2', ...extra }) }] as const;
      const volume = await (await opener()).open(backend(place), false);
      const bytes = Buffer.alloc(1);
      await volume.read(bytes, 0n);
      await volume.close();
      return bytes[0];
    };
    expect(await first({ backing: JSON.stringify([below]) })).toBe(7);
    expect(await first({})).toBe(0);
    for (const backing of ['relative', '["relative"]', '{}', '[7]']) {
      await expect(first({ backing })).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE' });
    }
  });

  it('is reached by the address of a server that runs already', async () => {
    const socket = join(folder, 's');
    for (const uri of [`nbd:unix:${socket}:exportname=x y`, `nbd+unix:///x%20y?socket=${socket}`]) {
      execFileSync('qemu-nbd', [
        '--fork',
        `--socket=${socket}`,
        '--export-name=x y',
        '--format=qcow2',
        image,
      ]);
      const volume = await (await opener()).open(backend(['Nbd', { uri }]), true);
      expect(volume.sizeBytes).toBe(65536n);
      await volume.close();
    }
  });
});
