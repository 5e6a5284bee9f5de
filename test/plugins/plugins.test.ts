// Goal: the shipped plugins speak SMAPIv3 as executables, whatever they are asked.
// Method: the real programs, compiled and laid out once, run by hand with JSON on standard input.

import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { installPlugins } from '../../src/plugins/install.ts';
import { type BuiltPlugins, buildPlugins, programs } from './built-plugins.ts';

let built: BuiltPlugins;
let folder: string;
beforeAll(async () => {
  built = await buildPlugins();
  folder = await mkdtemp(join(tmpdir(), 'sr-'));
}, 60_000);
afterAll(async () => {
  await built.remove();
  await rm(folder, { recursive: true, force: true });
});

const run = (script: string, args: unknown): Promise<{ code: number; answer: any }> =>
  new Promise((resolve, reject) => {
    const child = execFile(join(built.scripts, script), ['--json'], (error, stdout, stderr) => {
      try {
        resolve({ code: (error?.code as number | undefined) ?? 0, answer: JSON.parse(stdout) });
      } catch (cause) {
        reject(new Error(`${script}: ${stdout} ${stderr}`, { cause }));
      }
    });
    child.stdin?.end(typeof args === 'string' ? args : JSON.stringify(args));
  });

const file = (method: string, args: object) => run(`volume/org.xen.xapi.storage.file/${method}`, args);
const iso = (method: string, args: object) => run(`volume/org.xen.xapi.storage.iso/${method}`, args);
const uuid = '5d1c7a34-0000-4000-8000-00000000000a';

describe('plugins', () => {
  it('say who they are', async () => {
    for (const plugin of [
      'volume/org.xen.xapi.storage.file',
      'volume/org.xen.xapi.storage.iso',
      'datapath/raw+file',
    ]) {
      const { code, answer } = await run(`${plugin}/Plugin.query`, { dbg: 'd' });
      expect(code).toBe(0);
      expect(answer).toMatchObject({ required_api_version: '5.0', required_cluster_stack: [] });
    }
  });

  it.each(['', 'nonsense', '[]', 'null', '{"dbg":"d"}', '{"dbg":"d","sr":7}'])(
    'refuse arguments such as %j with a code and a reason',
    async (args) => {
      const { code, answer } = await run('volume/org.xen.xapi.storage.file/SR.ls', args);
      expect(code).toBe(1);
      expect(answer.code).toBe('SR_BACKEND_FAILURE');
      expect(answer.params[0]).toMatch(/argument/);
      expect(answer.backtrace).toMatchObject({ files: [], lines: [] });
    },
  );

  it.each([
    [{}, /no location/],
    [{ location: 'relative/path' }, /absolute/],
    [{ location: '/' }, /absolute path below/],
    [{ location: '/a\u0000b' }, /not a usable path/],
    [{ location: '/srv/x', format: 'vmdk' }, /qcow2 or raw/],
  ])('refuse to make an SR of the configuration %j', async (configuration, why) => {
    const { code, answer } = await file('SR.create', { uuid, name: '', description: '', configuration });
    expect(code).toBe(1);
    expect(answer.params[0]).toMatch(why);
  });

  it('answer VDI_MISSING to keys that are none, paths among them', async () => {
    const location = join(folder, 'keys');
    await file('SR.create', { uuid, name: 'n', description: 'd', configuration: { location } });
    for (const key of ['../../etc/passwd', uuid, '', 'sr', `${uuid}/..`]) {
      const { answer } = await file('Volume.stat', { sr: location, key });
      expect(answer).toMatchObject({ code: 'VDI_MISSING', params: [location, key] });
    }
  });

  it('keep two SRs out of one folder, and let the same one be made again', async () => {
    const configuration = { location: join(folder, 'one') };
    const make = (id: string) => file('SR.create', { uuid: id, name: 'n', description: 'd', configuration });
    expect((await make(uuid)).answer).toEqual(configuration);
    expect((await make(uuid)).code).toBe(0);
    expect((await make(uuid.replace('a', 'b'))).answer.params[0]).toMatch(/Another SR/);
  });

  it('round sizes up to whole sectors and refuse sizes that are none', async () => {
    const location = join(folder, 'sizes');
    await file('SR.create', { uuid, name: 'n', description: 'd', configuration: { location } });
    const create = (size: unknown) =>
      file('Volume.create', { sr: location, name: 'v', description: '', size, sharable: false });
    expect((await create(1)).answer.virtual_size).toBe(512);
    expect((await create(1025)).answer.virtual_size).toBe(1536);
    for (const size of [0, -1, 1.5, 2 ** 53, '7', null]) expect((await create(size)).code).toBe(1);
  });

  it('list a folder of ISO images without links, other files and names that cannot be keys', async () => {
    const location = await mkdtemp(join(folder, 'iso-'));
    await writeFile(join(location, 'a.iso'), Buffer.alloc(2048, 1));
    await writeFile(join(location, 'B.ISO'), Buffer.alloc(4096, 2));
    await writeFile(join(location, 'notes.txt'), 'x');
    await writeFile(join(location, 'line\nbreak.iso'), 'x');
    await symlink('/etc/hostname', join(location, 'link.iso'));
    const { answer: sr } = await iso('SR.attach', { configuration: { location } });
    const { answer } = await iso('SR.ls', { sr });
    expect(answer.map(({ key }: { key: string }) => key).sort()).toEqual(['B.ISO', 'a.iso']);
    expect(answer[0]).toMatchObject({ read_write: false, keys: { 'image-format': 'raw' } });
    for (const key of ['../a.iso', 'link.iso', 'notes.txt']) {
      expect((await iso('Volume.stat', { sr, key })).answer.code).toBe('VDI_MISSING');
    }
    const methods = await readdir(join(built.scripts, 'volume/org.xen.xapi.storage.iso'));
    expect(methods).not.toContain('Volume.create');
  });

  it('are laid out so that spaces and quotes in paths do no harm, and are left alone when they are right', async () => {
    const root = join(folder, `it's "a" $HOME root`);
    const own = { data: join(folder, "it's data"), run: join(folder, 'run') };
    const from = { programs, node: process.execPath, own };
    await installPlugins(nodeDisk, root, from);
    const script = join(root, 'volume/org.xen.xapi.storage.iso/SR.stat');
    const before = await stat(script);
    await installPlugins(nodeDisk, root, from);
    expect((await stat(script)).ino).toBe(before.ino);
    const printed = execFileSync(script, ['--json'], {
      input: JSON.stringify({ sr: root }),
      encoding: 'utf8',
    });
    expect(JSON.parse(printed)).toMatchObject({ sr: root, health: ['Healthy', ''] });
  });

  it('report an SR whose folder is gone as unavailable', async () => {
    const { answer } = await file('SR.stat', { sr: join(folder, 'gone') });
    expect(answer.health[0]).toBe('Unavailable');
  });
});
