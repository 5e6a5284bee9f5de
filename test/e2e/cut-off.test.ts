// Goal: whatever is killed in the middle, the next start has nothing on its storage that no row names, nothing attached
// that no row says, no copy that is half done, and no call of before that goes on; the rest is told and cleaned.
// Method: the built program with the simulated hypervisor and a storage plugin that stops before or after what it does;
// many calls stop side by side, and one SIGKILL cuts all of them off.

import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeNetwork } from '../../src/drivers/node/network.ts';
import { pathsOf } from '../../src/main/paths.ts';
import { xenopsdHypervisor } from '../../src/rpc/xenops/xenopsd.ts';
import { silentLog } from '../../src/std/log.ts';
import { logIn, type Session } from './client.ts';
import { diskRecord, looseEnds, newDisk, newDrive, newVm, type Row, rowsOf, text } from './lab.ts';
import { clean, newDataFolder, processesOf, program, start, type Xenact } from './xenact.ts';

const patience = { timeout: 30_000, interval: 50 };
const methods = ['SR.attach', 'SR.create', 'SR.detach', 'SR.destroy', 'SR.ls', 'SR.probe', 'SR.stat'];
const onVolumes = ['clone', 'create', 'destroy', 'resize', 'set', 'set_description', 'set_name', 'snapshot'];

let data: string;
let disks: string;
let xenact: Xenact;
let session: Session;
let host: string;
let sr: string;

const up = async (): Promise<void> => {
  xenact = await start(data, ['--hypervisor', 'sim']);
  session = await logIn(xenact.http);
};

/** Does what the shipped plugin does, and stops where the file `stops` says; `reached` tells that it did. */
const addPlugin = async (): Promise<void> => {
  const shipped = join(data, 'plugins-shipped', 'volume', 'org.xen.xapi.storage.file');
  const folder = join(data, 'plugins', 'volume', 'org.xen.xapi.storage.slow');
  await mkdir(folder, { recursive: true });
  const all = [
    'Plugin.query',
    'Volume.stat',
    'Volume.unset',
    ...methods,
    ...onVolumes.map((one) => `Volume.${one}`),
  ];
  for (const method of all) {
    const stop = `{ echo >> '${join(data, 'reached')}'; exec sleep 86397; }`;
    const lines = [
      '#!/bin/sh',
      `stops=$(cat '${join(data, 'stops')}')`,
      `case "$stops" in *" ${method}:before "*) ${stop};; esac`,
      `case "$stops" in *" ${method}:after "*) '${join(shipped, method)}' "$@" > /dev/null; ${stop};; esac`,
      `exec '${join(shipped, method)}' "$@"`,
    ];
    await writeFile(join(folder, method), `${lines.join('\n')}\n`);
    await chmod(join(folder, method), 0o755);
  }
};
const stopAt = async (...steps: readonly string[]): Promise<void> => {
  await writeFile(join(data, 'reached'), '');
  await writeFile(join(data, 'stops'), ` ${steps.join(' ')} `);
};
const stopped = async (): Promise<number> => (await readFile(join(data, 'reached'), 'utf8')).length;

const createSr = (location: string): Promise<string> => {
  const named = ['slow', '', 'slow', 'user', false, new Map<string, string>()] as const;
  return session.call('SR.create', host, new Map([['location', location]]), 0n, ...named) as Promise<string>;
};

beforeAll(async () => {
  data = await newDataFolder();
  disks = await newDataFolder();
  await stopAt();
  await up();
  await addPlugin();
  [host = ''] = (await session.call('host.get_all')) as string[];
  await vi.waitFor(async () => {
    const types = (await session.call('SR.get_supported_types')) as string[];
    if (!types.includes('slow')) throw new Error('The plugin is not found yet');
  }, patience);
  sr = await createSr(join(disks, 'used'));
});
afterAll(async () => {
  await xenact.end('SIGKILL');
  await clean(data);
  await clean(disks);
});

const vdisOf = async (repository: string): Promise<readonly Row[]> =>
  [...(await rowsOf(session, 'VDI')).values()].filter((row) => row.get('SR') === repository);
/** Keys of what is on the storage, and images that none of them needs. */
const onStorage = async (folder: string): Promise<readonly string[]> =>
  (await readdir(join(disks, folder))).filter((name) => /^[0-9a-f-]{36}\.json$/.test(name));

const nothingIsLeft = async (): Promise<void> => {
  expect(processesOf('sleep 86397')).toEqual([]);
  expect(await looseEnds(session)).toEqual([]);
  const rows = await vdisOf(sr);
  const keys = (await onStorage('used')).map((name) => name.slice(0, -'.json'.length));
  expect(keys.sort()).toEqual(rows.map((row) => text(row, 'location')).sort());
  const images = (await readdir(join(disks, 'used'))).filter((name) => /\.(qcow2|raw)$/.test(name));
  const notes = await Promise.all(keys.map((key) => readFile(join(disks, 'used', `${key}.json`), 'utf8')));
  const tops = new Set(notes.map((note) => JSON.parse(note).image as string));
  // Every image is a disk's, or one that disks stand on.
  const parents = new Set<string>();
  for (const image of images) {
    const head = (await readFile(join(disks, 'used', image))).subarray(0, 4096).toString('latin1');
    for (const other of images) if (head.includes(other)) parents.add(other);
  }
  expect(images.filter((image) => !tops.has(image) && !parents.has(image))).toEqual([]);
};

/** Begins the calls, and waits until as many have stopped. */
const begin = async (steps: readonly string[], calls: readonly (readonly [string, ...unknown[]])[]) => {
  await stopAt(...steps);
  for (const [method, ...args] of calls) await session.call(`Async.${method}`, ...(args as never[]));
  await expect.poll(stopped, patience).toBeGreaterThanOrEqual(calls.length);
};
const killAndStart = async (): Promise<void> => {
  await xenact.end('SIGKILL');
  await stopAt();
  await up();
};

const unpluggedSr = async (name: string): Promise<readonly [sr: string, pbd: string]> => {
  const made = await createSr(join(disks, name));
  const [pbd = ''] = (await session.call('SR.get_PBDs', made)) as string[];
  await session.call('PBD.unplug', pbd);
  return [made, pbd];
};
const foundDisks = async (): Promise<readonly Row[]> =>
  (await vdisOf(sr)).filter((row) => (row.get('other_config') as Row).has('xenact:found-at-start'));
const repositories = async (): Promise<number> => (await rowsOf(session, 'SR')).size;

describe('a kill', { timeout: 150_000 }, () => {
  let vm: string;
  let own: readonly string[];
  beforeAll(async () => {
    own = [];
    for (const _ of [1, 2, 3, 4, 5]) own = [...own, await newDisk(session, 1 << 20, { SR: sr })];
    vm = await newVm(session, 'with a disk');
    await newDrive(session, vm, own[3] as string);
  });
  const branches = async (when: string): Promise<Parameters<typeof begin>> => {
    const [a, b, c] = own;
    const place = new Map([['location', join(disks, `made-${when}`)]]);
    return [
      [
        ...['create', 'snapshot', 'clone', 'resize'].map((one) => `Volume.${one}:${when}`),
        `SR.create:${when}`,
      ],
      [
        ['VDI.create', await diskRecord(session, 1 << 20, { SR: sr })],
        ['VDI.snapshot', a, new Map()],
        ['VDI.clone', b, new Map()],
        ['VDI.resize', c, 2n << 20n],
        ['VM.clone', vm, 'a copy'],
        ['SR.create', host, place, 0n, 'slow', '', 'slow', 'user', false, new Map()],
      ],
    ];
  };

  test('before a plugin has done its part, and in the middle of a copy, leaves nothing', async () => {
    const [unplugged, pbd] = await unpluggedSr('unplugged');
    const before = [(await vdisOf(sr)).length, await repositories()];
    await begin(['Volume.stat:before'], [['VDI.copy', own[4], sr]]);
    const [steps, calls] = await branches('before');
    await begin([...steps, 'SR.stat:before'], [...calls, ['PBD.plug', pbd]]);
    await killAndStart();
    await expect
      .poll(async () => [(await vdisOf(sr)).length, await repositories()], patience)
      .toEqual(before);
    await nothingIsLeft();
    expect(await foundDisks()).toEqual([]);
    expect(await session.call('PBD.get_currently_attached', pbd)).toBe(false);
    await session.call('PBD.plug', pbd);
    await session.call('PBD.unplug', pbd);
    await session.call('SR.destroy', unplugged);
  });

  test('after a plugin has done its part leaves rows of all that it made, and people are told', async () => {
    const [halfDone] = await unpluggedSr('half');
    const before = (await vdisOf(sr)).length;
    const [steps, calls] = await branches('after');
    await begin([...steps, 'SR.destroy:after'], [...calls, ['SR.destroy', halfDone]]);
    const stranger = await startStranger();
    await killAndStart();
    await nothingIsLeft();
    const found = await foundDisks();
    expect([found.length, (await vdisOf(sr)).length]).toEqual([4, before + 4]);
    // Asked again both end as they would have.
    await session.call('SR.destroy', halfDone);
    const [again] = await unpluggedSr('made-after');
    await session.call('SR.destroy', again);

    const kinds = async (): Promise<readonly string[]> =>
      [...(await rowsOf(session, 'message')).values()]
        .map((row) => text(row, 'name'))
        .filter((name) => name.startsWith('LEAKED_'))
        .sort();
    const disk = 'LEAKED_DISK';
    await expect.poll(kinds, patience).toEqual([disk, disk, disk, disk, 'LEAKED_DOMAIN']);
    expect(await leaks()).toContain(`domain  The guest ${stranger}`);
    expect(await leaks('clean')).toMatch(new RegExp(`domain {2}The guest ${stranger}.*: gone\n`));
    for (const row of found) {
      await session.call('VDI.destroy', (await session.call('VDI.get_by_uuid', text(row, 'uuid'))) as string);
    }
    expect(await leaks('clean')).toBe('This host has leaked nothing\n');
    expect(await kinds()).toEqual([]);
    await nothingIsLeft();
  });
});

const leaks = async (...args: readonly string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [program, 'leaks', ...args, '--data', data])).stdout;

/** A guest of which the pool has no VM: like another, which then ends. */
const startStranger = async (): Promise<string> => {
  const vm = await newVm(session, 'a pattern');
  await session.call('VM.start', vm, false, false);
  const hypervisor = xenopsdHypervisor({
    ...{ network: nodeNetwork, clock: nodeClock, log: silentLog },
    endpoint: { socketPath: pathsOf(data).xenopsdSocket },
  });
  const uuid = (await session.call('VM.get_uuid', vm)) as string;
  const { vm: pattern, domains: _, ...rest } = await hypervisor.exportMetadata(uuid, 'test');
  const id = '11111111-2222-3333-4444-555555555555';
  await hypervisor.importMetadata({ ...rest, vm: { ...pattern, id }, vbds: [], vifs: [] }, 'test');
  const signal = new AbortController().signal;
  await hypervisor.start(id, false, { debugInfo: 'test', signal, progress: () => {} });
  await hypervisor.close();
  await session.call('VM.hard_shutdown', vm);
  return id;
};
