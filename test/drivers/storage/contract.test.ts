// Goal: the storage layer keeps its promises with the shipped plugins, image format by image format.
// Method: real plugin processes below the real layer, on folders of this machine.

import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type OpenVolume, StorageError, smConfigIn } from '../../../src/drivers/storage/storage.ts';
import { type BuiltPlugins, buildPlugins } from '../../plugins/built-plugins.ts';
import { call, type Host, startHost } from './host.ts';

// A call is a process, and a busy machine starts few of them in a second.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const has = (program: string): boolean => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const hasQemu = has('qemu-img') && has('qemu-nbd');
const MIB = 1024 * 1024;
const sr = '5d1c7a34-0000-4000-8000-00000000000a';
const newVolume = { name: 'disk', description: 'd', sizeBytes: BigInt(MIB), sharable: false, type: 'user' };

let built: BuiltPlugins;
let host: Host;
beforeAll(async () => {
  built = await buildPlugins();
  host = await startHost([built.scripts]);
}, 60_000);
afterAll(async () => {
  await host.remove();
  await built.remove();
});

const readAll = async (volume: OpenVolume): Promise<Buffer> => {
  const bytes = Buffer.alloc(Number(volume.sizeBytes));
  expect(await volume.read(bytes, 0n)).toBe(bytes.length);
  return bytes;
};

const withVolume = async <T>(
  key: string,
  writable: boolean,
  use: (volume: OpenVolume) => Promise<T>,
): Promise<T> => {
  const volume = await host.storage.openVolume(sr, key, 'test', writable, call);
  try {
    return await use(volume);
  } finally {
    await host.storage.closeVolume(sr, key, 'test', call);
  }
};
const fill = (key: string, byte: number) =>
  withVolume(key, true, (volume) => volume.write(Buffer.alloc(MIB, byte), 0n));
const firstByte = async (key: string) => (await withVolume(key, false, readAll))[0];

describe.each(['raw', 'qcow2'])('an SR of %s files', (format) => {
  const test = format === 'qcow2' ? it.skipIf(!hasQemu) : it;
  const location = () => join(host.folder, `sr-${format}`);

  beforeAll(async () => {
    if (format === 'qcow2' && !hasQemu) return;
    const configuration = new Map([
      ['location', location()],
      ['format', format],
    ]);
    const attachWith = await host.storage.createSr(
      'file',
      { uuid: sr, name: 'n', description: 'd', configuration, sizeBytes: 0n },
      call,
    );
    await host.storage.attachSr('file', sr, attachWith, call);
  });
  afterAll(async () => {
    if (host.storage.isSrAttached(sr)) await host.storage.detachSr(sr, call);
    await rm(location(), { recursive: true, force: true });
  });

  test('is found by probe, attached once however often, and has a name and space', async () => {
    const configuration = new Map([['location', location()]]);
    const [found] = await host.storage.probeSr('file', configuration, call);
    expect(found).toMatchObject({ complete: true, uuid: sr });
    const stat = await host.storage.attachSr('file', sr, configuration, call);
    expect(stat).toMatchObject({ name: 'n', description: 'd', health: 'Healthy' });
    expect(stat.totalBytes).toBeGreaterThanOrEqual(stat.freeBytes);
    expect(host.storage.attachedSrs()).toEqual([sr]);
  });

  test('keeps what is said of a volume', async () => {
    const smConfig = new Map([['type', 'thin']]);
    const made = await host.storage.createVolume(sr, { ...newVolume, type: 'suspend', smConfig }, call);
    expect(smConfigIn(made.keys)).toEqual(smConfig);
    expect(made.keys.get('vdi-type')).toBe('suspend');
    // A guest's memory is kept raw, whatever the SR keeps disks in.
    expect(made.keys.get('image-format')).toBe('raw');
    await host.storage.setVolumeName(sr, made.key, 'new ✓ "name"', call);
    await host.storage.setVolumeDescription(sr, made.key, '__proto__', call);
    const found = await host.storage.statVolume(sr, made.key, call);
    expect(found).toEqual({ ...made, name: 'new ✓ "name"', description: '__proto__' });
    expect((await host.storage.scanSr(sr, call)).volumes).toEqual([found]);
    await host.storage.destroyVolume(sr, made.key, call);
    expect((await host.storage.scanSr(sr, call)).volumes).toEqual([]);
  });

  test('reads zeroes where nothing was written, and what was written where it was', async () => {
    const { key } = await host.storage.createVolume(sr, newVolume, call);
    await withVolume(key, true, async (volume) => {
      expect(volume.sizeBytes).toBe(BigInt(MIB));
      expect((await readAll(volume)).every((byte) => byte === 0)).toBe(true);
      await volume.write(Buffer.from('here'), 1000n);
      await volume.flush();
      const end = Buffer.alloc(8, 0xff);
      expect(await volume.read(end, BigInt(MIB - 4))).toBe(4);
      await expect(volume.read(end, BigInt(MIB + 1))).rejects.toThrow(RangeError);
      await expect(volume.write(end, BigInt(MIB - 4))).rejects.toThrow(RangeError);
    });
    const bytes = await withVolume(key, false, async (volume) => {
      await expect(volume.write(Buffer.from('x'), 0n)).rejects.toThrow(/reading only/);
      return readAll(volume);
    });
    expect(bytes.subarray(1000, 1004).toString()).toBe('here');
    await host.storage.destroyVolume(sr, key, call);
  });

  test('keeps snapshot, clone and source apart, and says what is a snapshot of what', async () => {
    const source = (await host.storage.createVolume(sr, newVolume, call)).key;
    await fill(source, 1);
    const snapshot = await host.storage.snapshotVolume(sr, source, call);
    expect(Object.fromEntries(snapshot.keys)).toMatchObject({
      is_a_snapshot: 'true',
      snapshot_of: source,
      'vdi-type': 'user',
    });
    expect(snapshot.keys.get('snapshot_time')).toMatch(/^\d{8}T\d\d:\d\d:\d\dZ$/);
    await fill(source, 2);
    const { key: clone, keys } = await host.storage.cloneVolume(sr, snapshot.key, call);
    expect(Object.fromEntries(keys)).toEqual({ 'vdi-type': 'user', 'image-format': format });
    await fill(clone, 3);
    expect([await firstByte(source), await firstByte(snapshot.key), await firstByte(clone)]).toEqual([
      2, 1, 3,
    ]);
    await host.storage.destroyVolume(sr, snapshot.key, call);
    await host.storage.destroyVolume(sr, source, call);
    expect(await firstByte(clone)).toBe(3);
    await host.storage.destroyVolume(sr, clone, call);
    const left = (await readdir(location())).filter((name) => !name.endsWith('.lock'));
    expect(left).toEqual(['sr.json']);
  });

  test('copies a disk that somebody holds, and leaves its path as it is', async () => {
    const { key } = await host.storage.createVolume(sr, newVolume, call);
    await fill(key, 1);
    const use = { sr, key, datapath: 'vbd/3/xvda', vm: '3' };
    const before = await host.storage.datapathsOf.attach(use, 'RW', call);
    const snapshot = await host.storage.snapshotVolume(sr, key, call);
    await expect(host.storage.resizeVolume(sr, key, 2n * newVolume.sizeBytes, call)).rejects.toThrow(
      /VDI_IN_USE/,
    );
    await host.storage.datapathsOf.detach(use, call);
    expect(await host.storage.datapathsOf.attach(use, 'RW', call)).toEqual(before);
    await host.storage.datapathsOf.detach(use, call);
    await fill(key, 2);
    expect([await firstByte(key), await firstByte(snapshot.key)]).toEqual([2, 1]);
    for (const { key: each } of (await host.storage.scanSr(sr, call)).volumes) {
      await host.storage.destroyVolume(sr, each, call);
    }
  });

  test('grows a volume and refuses to shrink it', async () => {
    const { key } = await host.storage.createVolume(sr, newVolume, call);
    await fill(key, 7);
    expect(await host.storage.resizeVolume(sr, key, BigInt(2 * MIB) - 1n, call)).toBe(BigInt(2 * MIB));
    const bytes = await withVolume(key, false, readAll);
    expect([bytes[MIB - 1], bytes[MIB], bytes.length]).toEqual([7, 0, 2 * MIB]);
    await expect(host.storage.resizeVolume(sr, key, 512n, call)).rejects.toThrow(/smaller/);
    await host.storage.destroyVolume(sr, key, call);
  });

  test('refuses a second writer, a reader beside a writer and a writer beside a reader', async () => {
    const { key } = await host.storage.createVolume(sr, newVolume, call);
    const open = (name: string, writable: boolean) => host.storage.openVolume(sr, key, name, writable, call);
    await open('a', true);
    expect(host.storage.datapaths(sr, key)).toEqual(['host/a']);
    await expect(open('b', true)).rejects.toThrow(/VDI_IN_USE/);
    await expect(open('b', false)).rejects.toThrow(/VDI_IN_USE/);
    await host.storage.closeVolume(sr, key, 'a', call);
    await host.storage.closeVolume(sr, key, 'a', call);
    await open('a', false);
    await open('b', false);
    await expect(open('c', true)).rejects.toThrow(/VDI_IN_USE/);
    await host.storage.closeVolume(sr, key, 'a', call);
    await host.storage.closeVolume(sr, key, 'b', call);
    expect(host.storage.datapaths(sr, key)).toEqual([]);
    await host.storage.destroyVolume(sr, key, call);
  });

  test('gives a guest that must not change its disk a clone, and throws it away after', async () => {
    const { key } = await host.storage.createVolume(sr, newVolume, call);
    await host.storage.beginEpoch({ sr, key }, false, call);
    expect((await host.storage.scanSr(sr, call)).volumes.map((volume) => volume.key)).toEqual([key]);
    await fill(key, 9);
    expect(await firstByte(key)).toBe(9);
    await host.storage.endEpoch({ sr, key }, call);
    expect(await firstByte(key)).toBe(0);
    await host.storage.destroyVolume(sr, key, call);
  });

  test('remembers what is open when the process is killed, and opens and closes it afterwards', async () => {
    const { key } = await host.storage.createVolume(sr, newVolume, call);
    const use = { sr, key, datapath: 'vbd/1/xvda', vm: '1' };
    const where = await host.storage.datapathsOf.attach(use, 'RW', call);
    await host.storage.datapathsOf.activate(use, call);
    const second = await host.restart();
    expect(second.isSrAttached(sr)).toBe(true);
    expect(second.datapaths(sr, key)).toEqual(['vbd/1/xvda']);
    expect(await second.datapathsOf.attach({ ...use, datapath: 'b' }, 'RW', call)).toEqual(where);
    await second.datapathsOf.destroy('b', false, call);
    await second.datapathsOf.destroy('vbd/1/xvda', false, call);
    await host.storage.datapathsOf.destroy('vbd/1/xvda', false, call);
    await second.destroyVolume(sr, key, call);
    await second.close();
  });

  test('lets go of what the host itself had open when the process is killed', async () => {
    const { key } = await host.storage.createVolume(sr, newVolume, call);
    await host.storage.datapathsOf.attach({ sr, key, datapath: 'host/import', vm: '0' }, 'RW', call);
    const second = await host.restart();
    expect(second.datapaths(sr, key)).toEqual([]);
    await second.openVolume(sr, key, 'import', true, call);
    await second.closeVolume(sr, key, 'import', call);
    await second.destroyVolume(sr, key, call);
    await second.close();
    await host.storage.datapathsOf.destroy('host/import', true, call);
  });

  test('says to programs of the host where an open disk is', async () => {
    const { key } = await host.storage.createVolume(sr, newVolume, call);
    await withVolume(key, true, async ({ address = '', write, flush }) => {
      await write(Buffer.alloc(512, 7), 512n);
      await flush();
      if (!hasQemu) return expect(address).toMatch(/^\//);
      const said = execFileSync('qemu-io', ['-f', 'raw', '-c', 'read -P 7 512 512', address], {
        encoding: 'utf8',
      });
      expect(said).toMatch(/^read 512\/512 bytes at offset 512$/m);
    });
    await host.storage.destroyVolume(sr, key, call);
  });

  test('is not destroyed while volumes are in it, and is gone after', async () => {
    const { key } = await host.storage.createVolume(sr, newVolume, call);
    await expect(host.storage.destroySr(sr, call)).rejects.toThrow(/SR_NOT_EMPTY/);
    await host.storage.destroyVolume(sr, key, call);
    await host.storage.destroySr(sr, call);
    expect(host.storage.isSrAttached(sr)).toBe(false);
    await expect(host.storage.statSr(sr, call)).rejects.toThrow(/SR_NOT_ATTACHED/);
    await expect(readdir(location())).rejects.toThrow(/ENOENT/);
  });
});

describe('an SR of ISO images', () => {
  it('offers its images for reading, and no way to make one', async () => {
    const location = join(host.folder, 'isos');
    await mkdir(location);
    await writeFile(join(location, 'a b%.iso'), Buffer.alloc(4096, 5));
    const configuration = new Map([['location', location]]);
    await host.storage.attachSr('iso', sr, configuration, call);
    const { volumes } = await host.storage.scanSr(sr, call);
    expect(volumes).toMatchObject([{ key: 'a b%.iso', readWrite: false, virtualSizeBytes: 4096n }]);
    expect(await firstByte('a b%.iso')).toBe(5);
    const refused = host.storage.createVolume(sr, newVolume, call);
    await expect(refused).rejects.toThrow(StorageError);
    await expect(refused).rejects.toMatchObject({ code: 'SCRIPT_MISSING' });
    await host.storage.detachSr(sr, call);
    await host.storage.detachSr(sr, call);
  });
});

describe('the plugins of a host', () => {
  it('are described with the features that their scripts imply', async () => {
    const all = new Map((await host.storage.plugins()).map((plugin) => [plugin.type, plugin]));
    const [file, iso] = [all.get('file'), all.get('iso')];
    expect([...all.keys()].sort()).toEqual(['ext', 'file', 'iso', 'nfs']);
    expect(Object.fromEntries(file?.features ?? [])).toMatchObject({
      SR_CREATE: 1n,
      SR_DELETE: 1n,
      VDI_SNAPSHOT: 1n,
      VDI_DELETE: 1n,
      VDI_RESET_ON_BOOT: 2n,
      THIN_PROVISIONING: 1n,
    });
    expect(iso?.features.has('VDI_CREATE')).toBe(false);
    await expect(host.storage.attachSr('nosuch', sr, new Map(), call)).rejects.toThrow(/SR_UNKNOWN_DRIVER/);
  });
});
