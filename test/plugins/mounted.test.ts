// Goal: a repository on a block device or on an export of a server is made, mounted, found and left by its
//   plugin, and takes nothing that is somebody else's; what a host lacks is said.
// Method: the plugins in this process. Block devices are files behind loop devices, where this machine lets
//   one have them; mounts of servers are looked at as the command that they are.

import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Disk } from '../../src/drivers/disk.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeFileLocks } from '../../src/drivers/node/file-locks.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import type { Processes } from '../../src/drivers/processes.ts';
import { isoPlugin } from '../../src/plugins/iso/plugin.ts';
import { extPlugin } from '../../src/plugins/mounted/ext.ts';
import { nfsPlugin } from '../../src/plugins/mounted/nfs.ts';
import type { Methods } from '../../src/plugins/script.ts';

const uuid = '5d1c7a34-0000-4000-8000-00000000000a';
const other = '5d1c7a34-0000-4000-8000-00000000000b';
const base = await mkdtemp(join(tmpdir(), 'mounted-'));
const own = { data: join(base, 'data'), run: join(base, 'run') };
afterAll(() => rm(base, { recursive: true, force: true }));

const given = {
  disk: nodeDisk,
  processes: nodeProcesses,
  random: nodeRandom,
  locks: nodeFileLocks,
  host: 'a1',
  own,
};
type Config = Readonly<Record<string, string>>;
const ask = (plugin: Methods, method: string, args: object): Promise<any> =>
  (plugin[method] as NonNullable<Methods[string]>)({ ...args });
const created = (plugin: Methods, configuration: Config, id = uuid): Promise<Config> =>
  ask(plugin, 'SR.create', { uuid: id, name: 'n', description: 'd', configuration });

const image = join(base, 'device');
let device = '';
const loop = await (async () => {
  await writeFile(image, '');
  await truncate(image, 64 * 1024 * 1024);
  try {
    return execFileSync('losetup', ['--find', '--show', image], { stdio: 'pipe', encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
})();
afterAll(() => {
  if (loop !== undefined) execFileSync('losetup', ['--detach', loop]);
});

describe.skipIf(loop === undefined)('a block device (skipped where loop devices are not to be had)', () => {
  const ext = extPlugin(given);
  beforeAll(() => {
    device = loop ?? '';
  });
  const wipe = (): void => {
    execFileSync('wipefs', ['--all', '--quiet', device]);
  };
  afterEach(wipe);

  it('becomes a repository that is found by what is on it, and is free again when it goes', async () => {
    const config = await created(ext, { device });
    expect(config).toEqual({ device, uuid });
    const probed = await ask(ext, 'SR.probe', { configuration: {} });
    const here = probed.filter(({ configuration }: any) => configuration.device === device);
    expect(here).toEqual([expect.objectContaining({ configuration: { device, uuid }, complete: true })]);

    const sr = await ask(ext, 'SR.attach', { configuration: { device: '/dev/other', sr_uuid: uuid } });
    expect(await ask(ext, 'SR.attach', { configuration: config })).toBe(sr);
    const stat = await ask(ext, 'SR.stat', { sr });
    expect(stat).toMatchObject({ uuid, name: 'n', health: ['Healthy', ''] });
    const { key } = await ask(ext, 'Volume.create', {
      sr,
      name: 'v',
      description: '',
      size: 4096,
      sharable: false,
    });

    await ask(ext, 'SR.detach', { sr });
    await ask(ext, 'SR.detach', { sr });
    expect(await ask(ext, 'SR.stat', { sr })).toMatchObject({ health: ['Unavailable', expect.any(String)] });
    await ask(ext, 'SR.attach', { configuration: config });
    expect((await ask(ext, 'SR.ls', { sr })).map((one: any) => one.key)).toEqual([key]);
    await expect(ask(ext, 'SR.destroy', { sr })).rejects.toThrow(/SR_NOT_EMPTY/);
    await ask(ext, 'Volume.destroy', { sr, key });
    await ask(ext, 'SR.destroy', { sr });
    expect(await readdir(join(own.run, 'mounts'))).toEqual([]);
    const free = await ask(ext, 'SR.probe', { configuration: { device } });
    expect(free).toEqual([expect.objectContaining({ configuration: { device }, complete: false })]);
  });

  it('with something on it is taken only by who says that it may go', async () => {
    execFileSync('mkfs.ext4', ['-q', '-F', device]);
    await expect(created(ext, { device })).rejects.toThrow(/erase=true/);
    expect(await created(ext, { device, erase: 'true' })).toEqual({ device, uuid });
  });

  it('with a table of partitions is refused, whether the kernel has read it or not', async () => {
    const table = Buffer.alloc(512);
    table.writeUInt16LE(0xaa55, 510);
    table[446 + 4] = 0x83;
    table.writeUInt32LE(2048, 446 + 8);
    table.writeUInt32LE(4096, 446 + 12);
    await writeFile(device, table, { flag: 'r+' });
    await expect(created(ext, { device })).rejects.toThrow(/erase=true/);
  });

  it('that somebody has mounted is refused, whatever may go', async () => {
    execFileSync('mkfs.ext4', ['-q', '-F', device]);
    const at = join(base, 'at');
    await mkdir(at, { recursive: true });
    execFileSync('mount', [device, at]);
    try {
      await expect(created(ext, { device, erase: 'true' })).rejects.toThrow(/in use: it is mounted at/);
      const listed = await ask(ext, 'SR.probe', { configuration: {} });
      expect(listed.map(({ configuration }: any) => configuration.device)).not.toContain(device);
    } finally {
      execFileSync('umount', [at]);
    }
  });
});

describe('a device of a repository', () => {
  it.each([
    '',
    'sdb',
    '/etc/passwd',
    '/dev/../etc/passwd',
    '/dev/null',
    '/dev/shm',
    '/dev/sda,/dev/sdb',
    '-h',
  ])('is not %j', async (path) => {
    await expect(created(extPlugin(given), { device: path, erase: 'true' })).rejects.toThrow(/device/);
  });

  it('is said, as is the repository that is attached', async () => {
    await expect(created(extPlugin(given), {})).rejects.toThrow(/has no device/);
    for (const sr of ['/etc', join(own.run, 'mounts'), `${join(own.run, 'mounts', uuid)}/../${other}`])
      await expect(ask(extPlugin(given), 'SR.ls', { sr })).rejects.toThrow(/Not a repository/);
  });
});

/** A machine that has the programs, and whose `mount` does what a test says. */
const machine = (mount: (args: readonly string[]) => Promise<string>) => {
  const calls: (readonly string[])[] = [];
  const processes: Processes = {
    ...nodeProcesses,
    run: async (file, args, options) => {
      if (!['mount', 'umount', 'showmount'].includes(file)) return nodeProcesses.run(file, args, options);
      calls.push([file, ...args]);
      const stderr = file === 'umount' ? '' : await mount([file, ...args]);
      const isList = file === 'showmount';
      return { code: stderr === '' || isList ? 0 : 32, signal: null, stdout: isList ? stderr : '', stderr };
    },
  };
  const disk: Disk = {
    ...nodeDisk,
    remove: (path) => rm(path, { recursive: true }),
    isExecutable: async (path) => /mount\.(nfs|cifs)$/.test(path) || nodeDisk.isExecutable(path),
  };
  return { calls, given: { ...given, processes, disk } };
};

describe('an export of an NFS server', () => {
  const config = { server: 'nas', serverpath: '/export/vms' };

  it('is mounted with what the configuration says, and each repository has a folder of its own', async () => {
    const { calls, given: nas } = machine(async () => '');
    const wanted = { ...config, nfsversion: '4.1', options: 'hard,timeo=600,proto=tcp' };
    const known = await created(nfsPlugin(nas), wanted);
    expect(known).toEqual({ ...wanted, uuid });
    const folder = join(own.run, 'mounts', uuid);
    const options = 'nosuid,nodev,noexec,vers=4.1,retry=0,hard,timeo=600,proto=tcp';
    expect(calls[0]).toEqual(['mount', '-t', 'nfs', '-o', options, '--', 'nas:/export/vms', folder]);
  });

  it.each([
    ['server', '-o'],
    ['server', 'a b'],
    ['server', 'nas:/x'],
    ['serverpath', 'relative'],
    ['serverpath', '/a/../b'],
    ['serverpath', '/a\nb'],
    ['nfsversion', '2'],
    ['nfsversion', '4,nolock'],
    ['options', 'nolock'],
    ['options', 'local_lock=all'],
    ['options', 'exec'],
    ['options', 'hard,suid'],
    ['options', 'timeo=x'],
    ['options', 'sec=none'],
    ['options', '__proto__=tcp'],
  ])('is not mounted with the %s %j', async (key, value) => {
    const { calls, given: nas } = machine(async () => '');
    await expect(created(nfsPlugin(nas), { ...config, [key]: value })).rejects.toThrow(/SR_BACKEND_FAILURE/);
    expect(calls).toEqual([]);
  });

  it('is found by asking the server, and the repositories on it by looking', async () => {
    const { given: nas } = machine(async ([program = '', ...args]) => {
      if (program === 'showmount') return '/export/vms 10.0.0.0/8\n/export/two words *\nrubbish\n';
      const folder = args.at(-1) ?? '';
      for (const name of [uuid, other, 'lost+found']) await mkdir(join(folder, name));
      const note = { format: 1, uuid, name: 'n', description: 'd', imageFormat: 'raw' };
      await writeFile(join(folder, uuid, 'sr.json'), JSON.stringify(note));
      return '';
    });
    const plugin = nfsPlugin(nas);
    const exports = await ask(plugin, 'SR.probe', { configuration: { server: 'nas' } });
    expect(exports).toEqual([
      { configuration: config, complete: false, extra_info: { clients: '10.0.0.0/8' } },
      {
        configuration: { ...config, serverpath: '/export/two words' },
        complete: false,
        extra_info: { clients: '*' },
      },
    ]);
    const found = await ask(plugin, 'SR.probe', { configuration: config });
    expect(found).toMatchObject([
      { configuration: { ...config, uuid }, complete: true, sr: { uuid, name: 'n' } },
    ]);
    expect(found).toHaveLength(1);
  });

  it('says what the host lacks', async () => {
    const without = { ...given, disk: { ...nodeDisk, isExecutable: async () => false } };
    await expect(created(nfsPlugin(without), config)).rejects.toThrow(/no program mount\.nfs.*nfs-common/);
    const { given: nas } = machine(async () => "mount: unknown filesystem type 'nfs'.");
    const kernel: Disk = {
      ...nas.disk,
      readText: async (path, bytesMax) =>
        path === '/proc/filesystems' ? 'nodev\tsysfs\n\text4\n' : nodeDisk.readText(path, bytesMax),
    };
    await expect(created(nfsPlugin({ ...nas, disk: kernel }), config)).rejects.toThrow(
      /kernel of this host cannot mount nfs.*nfs-common.*unknown filesystem/,
    );
    expect(await readdir(join(own.run, 'mounts')).catch(() => [])).not.toContain(other);
  });
});

describe('an ISO library on a share', () => {
  const location = '//nas/isos';

  it('of SMB tells the server who asks in a file that only its user may read, for the mount alone', async () => {
    let told = '';
    const { calls, given: nas } = machine(async (args) => {
      const [, file = ''] = /credentials=([^,]*)/.exec(args[4] ?? '') ?? [];
      told = await readFile(file, 'utf8');
      expect((await nodeDisk.ownerOf(file)).mode & 0o77).toBe(0);
      return '';
    });
    const configuration = { location, username: 'CORP\\ann', cifspassword: 's3cret, yes', vers: '3.0' };
    const plugin = isoPlugin(nas);
    expect(await ask(plugin, 'SR.create', { configuration })).toEqual(configuration);
    const sr = await ask(plugin, 'SR.attach', { configuration: { ...configuration, sr_uuid: uuid } });
    expect(told).toBe('username=ann\npassword=s3cret, yes\ndomain=CORP\n');
    expect(JSON.stringify(calls)).not.toContain('s3cret');
    expect(calls[0]?.slice(-2, -1)).toEqual(['//nas/isos']);
    await writeFile(join(sr, 'one.iso'), Buffer.alloc(2048));
    expect((await ask(plugin, 'SR.ls', { sr })).map((one: any) => one.key)).toEqual(['one.iso']);
    await rm(join(sr, 'one.iso'));
    await ask(plugin, 'SR.detach', { sr });
    expect((await readdir(join(own.run, 'mounts'))).filter((name) => /credentials|000a$/.test(name))).toEqual(
      [],
    );
  });

  it.each([
    { location: '//-o/x' },
    { location: '//nas/../x' },
    { location, vers: '3.0,suid' },
    { location, username: 'a', cifspassword: 'b\npassword=c' },
    { location, iso_path: '../..' },
    { location: 'nas:/isos', nfsversion: '3,exec' },
  ])('is refused as %j', async (configuration) => {
    const { given: nas } = machine(async () => '');
    await expect(ask(isoPlugin(nas), 'SR.create', { configuration })).rejects.toThrow(/SR_BACKEND_FAILURE/);
  });
});
