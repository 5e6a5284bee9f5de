// Goal: nobody makes a storage repository of a folder that a host keeps its settings, devices or secrets in, or
//   names a plugin by a path.
// Method: the built program with its real plugins; hostile locations and types through the real door.
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Value } from '../../src/std/value.ts';
import { Failure, logIn, type Session } from './client.ts';
import { clean, newDataFolder, start, type Xenact } from './xenact.ts';

let xenact: Xenact;
let session: Session;
let host: string;
let outside: string;

beforeAll(async () => {
  outside = await mkdtemp(join(tmpdir(), 'outside-'));
  xenact = await start(await newDataFolder(), ['--hypervisor', 'sim']);
  session = await logIn(xenact.http);
  [host = ''] = (await session.call('host.get_all')) as string[];
  await symlink('/etc', join(outside, 'to-etc'));
  await symlink(xenact.data, join(outside, 'to-data'));
  await symlink(join(outside, 'to-etc'), join(outside, 'twice'));
  await symlink('/etc/not-there', join(outside, 'dangling'));
  await symlink('round', join(outside, 'round'));
  await mkdir(join(outside, 'real'));
  await symlink(join(outside, 'real'), join(outside, 'to-real'));
});
afterAll(async () => {
  await xenact.end('SIGKILL');
  await clean(xenact.data);
  await rm(outside, { recursive: true, force: true });
});

const none = new Map<string, string>();
const refused = (call: Promise<Value>): Promise<readonly string[]> =>
  call.then(
    (value) => ['no refusal', JSON.stringify(value)],
    (error) => {
      if (!(error instanceof Failure)) throw error;
      return [error.code, ...error.params];
    },
  );
const create = (type: string, location: string, shared = false): Promise<Value> =>
  session.call('SR.create', host, new Map([['location', location]]), 0n, 'n', 'd', type, '', shared, none);
const probe = (method: string, type: string, location: string): Promise<Value> =>
  session.call(method, host, new Map([['location', location]]), type, none);

const texts = [
  '/',
  'relative',
  '/proc/self/cwd',
  '/dev/shm/x',
  '/run',
  '//etc//x',
  '/srv/../etc',
  '/srv/a\nb',
];
const hostile: readonly (readonly [string, () => string])[] = [
  ...texts.map((path) => [path, () => path] as const),
  ['the data folder', () => xenact.data],
  ['the database', () => join(xenact.data, 'store')],
  ['plugins of the user', () => join(xenact.data, 'plugins')],
  ['a new folder in the data folder', () => join(xenact.data, 'new')],
  ['a folder in the own repository', () => join(xenact.data, 'iso', 'x')],
  ['a link to /etc', () => join(outside, 'to-etc')],
  ['a folder below a link to /etc', () => join(outside, 'to-etc', 'new')],
  ['a link to a link to /etc', () => join(outside, 'twice')],
  ['a link to the data folder', () => join(outside, 'to-data')],
  ['the database below a link', () => join(outside, 'to-data', 'store')],
  ['a link to nothing', () => join(outside, 'dangling')],
  ['a link to itself', () => join(outside, 'round')],
];

describe.each(['file', 'iso'])('a repository of type %s', (type) => {
  test.each(hostile)('is neither made of nor looked for in %j', async (_, location) => {
    const srs = await session.call('SR.get_all');
    const before = await readdir(xenact.data);
    const answers = [create(type, location(), true), probe('SR.probe', type, location())].map(refused);
    for (const answer of await Promise.all(answers)) expect(answer).toContain('SR_BACKEND_FAILURE');
    expect(await session.call('SR.get_all')).toEqual(srs);
    expect(await readdir(xenact.data)).toEqual(before);
  });

  test('gets no connection to such a folder, and uses none that became one', async () => {
    const named = ['', 'n', 'd', type, '', false, none] as const;
    const SR = (await session.call('SR.introduce', ...named)) as string;
    const pbd = (location: string): Promise<Value> =>
      session.call(
        'PBD.create',
        new Map<string, Value>([
          ['host', host],
          ['SR', SR],
          ['device_config', new Map([['location', location]])],
          ['other_config', none],
        ]),
      );
    expect(await refused(pbd('/etc'))).toContain('SR_BACKEND_FAILURE');
    // Only the host knows where links lead, when it connects.
    const made = (await pbd(join(outside, 'to-data'))) as string;
    expect(await refused(session.call('PBD.plug', made))).toContain('SR_BACKEND_FAILURE');
    const change = (location: string): Promise<Value> =>
      session.call('PBD.set_device_config', made, new Map([['location', location]]));
    expect(await refused(change('/proc/self'))).toContain('SR_BACKEND_FAILURE');
    await session.call('SR.forget', SR);
  });

  test('is known by the folder that a harmless link leads to', async () => {
    const sr = (await create(type, join(outside, 'to-real'))) as string;
    const [pbd = ''] = (await session.call('SR.get_PBDs', sr)) as string[];
    const config = (await session.call('PBD.get_device_config', pbd)) as Map<string, string>;
    expect(config.get('location')).toBe(join(outside, 'real'));
    await session.call('PBD.unplug', pbd);
    await session.call('SR.forget', sr);
    await rm(join(outside, 'real', 'sr.json'), { force: true });
  });
});

test.each([
  '',
  '..',
  '../..',
  '/etc',
  'a/b',
  'file/',
  './file',
  'file/../iso',
  'FILE',
  '__proto__',
  'lvmoiscsi',
  'file\n',
])('no plugin is named by %j', async (type) => {
  const answer = ['SR_UNKNOWN_DRIVER', type];
  expect(await session.call('SR.get_supported_types')).not.toContain(type);
  expect(await refused(create(type, outside))).toEqual(answer);
  for (const method of ['SR.probe', 'SR.probe_ext'])
    expect(await refused(probe(method, type, outside))).toEqual(answer);
  expect(await refused(session.call('SR.introduce', '', 'n', 'd', type, '', false, none))).toEqual(answer);
});
