// Goal: after a member went down with all that ran on it, every host tells what is true: guests are halted once it
//   is back or known to be off, sleeping ones sleep, its storage is plugged again, and all start without a reset.
// Method: two built programs with QEMU guests; every process of the member is killed, and it starts again.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Value } from '../../src/std/value.ts';
import { bootSector } from '../daemons/qemu/boot-sector.ts';
import { logIn, type Session } from './client.ts';
import { codeOf, hostRefs, type Lab, type PoolHost, patience, poolOf } from './hosts.ts';
import { emulatorsOf, looseEnds, newGuest, type Row, rowsOf, text } from './lab.ts';
import { has, processesOf } from './xenact.ts';

const missing = ['qemu-system-x86_64', 'qemu-img'].filter((program) => !has(program));
const why = missing.length > 0 ? ` (${missing.join(', ')} not installed)` : '';
const image = bootSector({ line: 'alive', ending: 'halt', waitForKey: 'serial' });

let pool: Lab;
let session: Session;
let refs: readonly string[];
let folder: string;
const vms = new Map<string, { readonly vm: string; readonly vdi: string }>();
const vm = (name: string): string => vms.get(name)?.vm as string;

const sharedFolder = async (location: string): Promise<string> => {
  const config = new Map<string, Value>([['location', location]]);
  const kind = [0n, 'shared', '', 'file', 'user', true] as const;
  return (await session.call('SR.create', refs[0] as string, config, ...kind, new Map())) as string;
};

/** What rows say of the member's storage, drives and cards. */
const attached = async (from: Session): Promise<Readonly<Record<string, unknown>>> => {
  const pbds = [...(await rowsOf(from, 'PBD')).values()].filter((row) => row.get('host') === refs[1]);
  const devicesOf = async (cls: string, name: string): Promise<readonly unknown[]> =>
    [...(await rowsOf(from, cls)).values()]
      .filter((row) => row.get('VM') === vm(name))
      .map((row) => row.get('currently_attached'));
  const drives = await Promise.all([...vms.keys()].map(async (name) => [name, await devicesOf('VBD', name)]));
  return { pbds: pbds.map((row) => row.get('currently_attached')), drives: Object.fromEntries(drives) };
};

/** Its guests end with it, and what they left says that the machine has been another one since. */
const losePower = async (member: PoolHost): Promise<void> => {
  for (const pid of processesOf(member.data)) process.kill(pid, 'SIGKILL');
  await member.down('SIGKILL');
  expect(emulatorsOf(member.data)).toEqual([]);
  for (const file of await readdir(member.data, { recursive: true })) {
    if (!file.endsWith('guest.json')) continue;
    const path = join(member.data, file);
    const record = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...record, boot: 'the one before' }));
  }
};

const stateOf = async (from: Session, name: string): Promise<readonly string[]> => {
  const row = (await from.call('VM.get_record', vm(name))) as Row;
  return [text(row, 'power_state'), text(row, 'resident_on')];
};

describe.skipIf(missing.length > 0)(`a member with QEMU guests${why}`, () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'xenact-shared-'));
    pool = await poolOf(2, ['--hypervisor', 'qemu', '--edge-members', 'serve']);
    session = await logIn(pool.host(0).http);
    refs = await hostRefs(session, pool.hosts);
    const sr = await sharedFolder(folder);
    const [first] = (await session.call('pool.get_all')) as string[];
    await session.call('pool.set_default_SR', first as string, sr);
    await session.call('pool.set_suspend_image_SR', first as string, sr);
    for (const name of ['running', 'asleep', 'elsewhere']) {
      vms.set(name, await newGuest(pool.host(0).xenact, session, name, image));
      const on = refs[name === 'elsewhere' ? 0 : 1] as string;
      await session.call('VM.start_on', vm(name), on, false, false);
    }
    await session.call('VM.suspend', vm('asleep'));
  }, 120_000);
  afterAll(async () => {
    await pool?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const before = async () => ({
    pbds: (await attached(session))['pbds'],
    running: await stateOf(session, 'running'),
  });

  test('that loses power leaves rows that say so once it is back, on every host', async () => {
    const { pbds, running } = await before();
    expect(running).toEqual(['Running', refs[1]]);
    const member = pool.host(1);
    await losePower(member);
    await member.up();
    await expect.poll(() => stateOf(session, 'running'), patience).toEqual(['Halted', 'OpaqueRef:NULL']);
    const there = await logIn(member.http);
    for (const from of [session, there]) {
      await expect.poll(async () => (await attached(from))['pbds'], patience).toEqual(pbds);
      expect((await attached(from))['drives']).toEqual({
        running: [false],
        asleep: [true],
        elsewhere: [true],
      });
      expect(await stateOf(from, 'asleep')).toEqual(['Suspended', 'OpaqueRef:NULL']);
      expect(await stateOf(from, 'elsewhere')).toEqual(['Running', refs[0]]);
    }
    expect(await looseEnds(session)).toEqual([]);
  });

  test('takes all of them again without a reset', async () => {
    await session.call('VM.start_on', vm('running'), refs[1] as string, false, false);
    await session.call('VM.resume_on', vm('asleep'), refs[1] as string, false, false);
    expect(await stateOf(session, 'running')).toEqual(['Running', refs[1]]);
    expect(await stateOf(session, 'asleep')).toEqual(['Running', refs[1]]);
  });

  test('that stays away has no guests once somebody says that it is off, and they start elsewhere', async () => {
    const member = pool.host(1);
    await losePower(member);
    const metrics = (await session.call('host.get_metrics', refs[1] as string)) as string;
    await expect.poll(() => session.call('host_metrics.get_live', metrics), patience).toBe(false);
    expect(await codeOf(session.call('VM.start', vm('running'), false, false))).not.toBe('done');
    await session.call('host.declare_dead', refs[1] as string);
    expect(await stateOf(session, 'running')).toEqual(['Halted', 'OpaqueRef:NULL']);
    for (const name of ['running', 'asleep']) await session.call('VM.start', vm(name), false, false);
    await member.up();
    await expect.poll(() => session.call('host_metrics.get_live', metrics), patience).toBe(true);
    for (const name of ['running', 'asleep', 'elsewhere'])
      expect(await stateOf(session, name)).toEqual(['Running', refs[0]]);
    expect(emulatorsOf(member.data)).toEqual([]);
    await expect.poll(() => looseEnds(session), patience).toEqual([]);
  });
});
