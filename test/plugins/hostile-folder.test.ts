// Goal: what somebody else put into the folder of a repository never leads out of it: not an image's head, a
//   note, a link or a file of another kind; and the disks beside it go on.
// Method: the plugins in this process on a folder that is changed behind their back; each door is tried.
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeFileLocks } from '../../src/drivers/node/file-locks.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { imageDatapath } from '../../src/plugins/datapath/plugin.ts';
import { filePlugin } from '../../src/plugins/file/plugin.ts';
import { isoPlugin } from '../../src/plugins/iso/plugin.ts';
import { hasQemu } from '../qemu-img.ts';

const tool = (...args: string[]): void => void execFileSync('qemu-img', args, { stdio: 'ignore' });

const plugin = filePlugin({
  disk: nodeDisk,
  processes: nodeProcesses,
  random: nodeRandom,
  locks: nodeFileLocks,
  host: 'a0',
});
const datapath = imageDatapath({ disk: nodeDisk, locks: nodeFileLocks, host: 'a0' });
const SIZE = 65536;
const uuid = '5d1c7a34-0000-4000-8000-00000000000a';
const ask = (method: string, args: object): Promise<any> => plugin[method]!({ sr, ...args });
const create = (): Promise<any> =>
  ask('Volume.create', { name: 'v', description: '', size: SIZE, sharable: false });

let base: string;
let sr: string;
let secret: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'hostile-'));
  sr = join(base, 'sr');
  secret = join(base, 'secret');
  await writeFile(secret, 'SECRET'.padEnd(SIZE, '.'));
});
afterEach(() => rm(base, { recursive: true, force: true }));

/**
 * Everything that opens the volume's image; each has to refuse, and to leave the secret alone. `isStated`: its
 * own head is fine, so that its size is told.
 */
const refusedEverywhere = async (key: string, uri: string, isStated = false): Promise<void> => {
  const doors: readonly (readonly [string, object])[] = [
    ...(isStated ? [] : ([['Volume.stat', {}]] as const)),
    ['Volume.snapshot', {}],
    ['Volume.clone', {}],
    ['Volume.resize', { new_size: 2 * SIZE }],
  ];
  for (const [method, args] of doors) {
    await expect(ask(method, { key, ...args }), method).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE' });
  }
  const attach = datapath['Datapath.attach']!({ uri, domain: '1' });
  await expect(attach).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE' });
  expect((await readFile(secret, 'utf8')).slice(0, 6)).toBe('SECRET');
};

describe.each(hasQemu ? (['raw', 'qcow2'] as const) : (['raw'] as const))(
  'a folder of %s images',
  (format) => {
    let key: string;
    let uri: string;
    let image: string;
    let note: string;
    beforeEach(async () => {
      await ask('SR.create', { uuid, name: 'n', description: 'd', configuration: { location: sr, format } });
      ({
        key,
        uri: [uri],
      } = await create());
      note = join(sr, `${key}.json`);
      image = join(sr, JSON.parse(await readFile(note, 'utf8')).image);
    });

    it('follows no link in the place of an image', async () => {
      const outside = join(base, `outside.${format}`);
      if (format === 'raw') await writeFile(outside, Buffer.alloc(SIZE));
      else tool('create', '-f', 'qcow2', outside, `${SIZE}`);
      const before = await readFile(outside);
      await unlink(image);
      await symlink(outside, image);
      await refusedEverywhere(key, uri);
      expect(await readFile(outside)).toEqual(before);
    });

    it('takes no FIFO for an image, and does not wait for its other end', async () => {
      await unlink(image);
      execFileSync('mkfifo', [image]);
      await refusedEverywhere(key, uri);
    });

    it.each([
      ['a path out of the folder', '../secret'],
      ['an absolute path', '/etc/passwd'],
      ['a name that is no image', 'sr.json'],
      ['something that is no name', 7],
    ])('reads no note whose image is %s', async (_, name) => {
      await writeFile(note, JSON.stringify({ ...JSON.parse(await readFile(note, 'utf8')), image: name }));
      for (const method of ['Volume.stat', 'Volume.snapshot', 'Volume.destroy']) {
        await expect(ask(method, { key }), method).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE' });
      }
      expect((await readFile(secret, 'utf8')).slice(0, 6)).toBe('SECRET');
    });

    it('follows no link in the place of a note', async () => {
      await rm(note);
      await writeFile(join(base, 'note.json'), await readFile(join(sr, 'sr.json')));
      await symlink(join(base, 'note.json'), note);
      await expect(ask('Volume.stat', { key })).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE' });
    });

    it('lets the other disks go on, and one that cannot be used be destroyed', async () => {
      const other = await create();
      await unlink(image);
      await symlink(secret, image);
      await plugin['SR.attach']!({ configuration: { location: sr } });
      expect((await ask('Volume.stat', { key: other.key })).virtual_size).toBe(SIZE);
      await ask('Volume.snapshot', { key: other.key });
      await ask('Volume.destroy', { key });
      expect(await readdir(sr)).not.toContain(`${key}.json`);
      expect((await readFile(secret, 'utf8')).slice(0, 6)).toBe('SECRET');
    });
  },
);

describe.skipIf(!hasQemu)('the head of a qcow2 image (skipped where qemu-img is not installed)', () => {
  let key: string;
  let uri: string;
  let image: string;
  beforeEach(async () => {
    await ask('SR.create', {
      uuid,
      name: 'n',
      description: 'd',
      configuration: { location: sr, format: 'qcow2' },
    });
    ({
      key,
      uri: [uri],
    } = await create());
    image = join(sr, JSON.parse(await readFile(join(sr, `${key}.json`), 'utf8')).image);
    await unlink(image);
  });

  it.each<[string, (to: string) => string[]]>([
    ['a raw backing file', () => ['-F', 'raw', '-b', secret]],
    ['a backing file by a relative path', () => ['-u', '-F', 'qcow2', '-b', '../secret']],
    ['a protocol in the place of a backing file', () => ['-u', '-F', 'qcow2', '-b', 'nbd:unix:/run/x']],
    ['itself', (to) => ['-u', '-F', 'qcow2', '-b', to.slice(to.lastIndexOf('/') + 1)]],
    ['an external data file', () => ['-o', `data_file=${join(base, 'data')}`]],
    ['an external data file that is raw', () => ['-o', `data_file=${join(base, 'data')},data_file_raw=on`]],
  ])('leads to %s and is refused', async (what, args) => {
    tool('create', '-f', 'qcow2', ...args(image), image, `${SIZE}`);
    await refusedEverywhere(key, uri, what === 'itself');
  });

  it('in a raw disk is bytes like any other', async () => {
    const raw = await ask('Volume.create', {
      name: 'v',
      description: '',
      size: SIZE * 4,
      sharable: false,
      type: 'suspend',
    });
    const path = join(sr, JSON.parse(await readFile(join(sr, `${raw.key}.json`), 'utf8')).image);
    tool('create', '-f', 'qcow2', '-F', 'raw', '-b', secret, image, `${SIZE}`);
    const bytes = Buffer.alloc(SIZE * 4);
    (await readFile(image)).copy(bytes);
    await writeFile(path, bytes);
    const { implementations } = (await datapath['Datapath.attach']!({
      uri: raw.uri[0],
      domain: '1',
    })) as any;
    expect(implementations).toEqual([
      ['XenDisk', { backend_type: 'vbd', params: path, extra: { format: 'raw' } }],
      ['File', { path }],
    ]);
    expect((await ask('Volume.stat', { key: raw.key })).virtual_size).toBe(SIZE * 4);
    const asQcow2 = datapath['Datapath.attach']!({ uri: raw.uri[0].replace('raw+', 'qcow2+'), domain: '1' });
    await expect(asQcow2).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE' });
  });
});

it('a folder of ISO images offers regular files alone', async () => {
  const iso = isoPlugin({
    disk: nodeDisk,
    processes: nodeProcesses,
    random: nodeRandom,
    own: { data: '/nowhere', run: '/nowhere/run' },
  });
  await writeFile(join(base, 'good.iso'), Buffer.alloc(2048));
  await symlink(secret, join(base, 'link.iso'));
  await symlink('good.iso', join(base, 'near.iso'));
  execFileSync('mkfifo', [join(base, 'fifo.iso')]);
  const found = (await iso['SR.ls']!({ sr: base })) as readonly { key: string }[];
  expect(found.map(({ key }) => key)).toEqual(['good.iso']);
  for (const key of ['link.iso', 'near.iso', 'fifo.iso', '../secret', 'secret']) {
    await expect(iso['Volume.stat']!({ sr: base, key }), key).rejects.toMatchObject({ code: 'VDI_MISSING' });
  }
  for (const key of ['link.iso', 'near.iso', 'fifo.iso']) {
    const attach = datapath['Datapath.attach']!({ uri: `raw+file://${join(base, key)}`, domain: '1' });
    await expect(attach, key).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE' });
  }
});
