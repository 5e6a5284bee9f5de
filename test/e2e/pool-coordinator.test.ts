// Goal: whichever host leads, planned or after a loss, clients find it, nothing acknowledged is lost, and no guest
//   runs twice.
// Method: three built programs; the lead is handed around while clients write, then its holder is killed, an
//   other one takes over, and the old one comes back.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, type Failure, logIn, type Session } from './client.ts';
import {
  codeOf,
  eventually,
  type Lab,
  leaderOf,
  leaderSession,
  logInHere,
  type PoolHost,
  patience,
  poolOfThree,
  runTwice,
} from './hosts.ts';
import { looseEnds, newVm, type Row, rowsOf, text } from './lab.ts';

let pool: Lab;
let session: Session;
let refs: readonly string[];
const ref = (index: number): string => refs[index] as string;

beforeAll(async () => {
  ({ pool, session, refs } = await poolOfThree());
}, 120_000);
afterAll(() => pool?.close());

/** Logs in wherever HOST_IS_SLAVE leads to, beginning at `host`. */
const following = async (host: PoolHost): Promise<Session> =>
  eventually(async () => {
    try {
      return await logIn(host.http);
    } catch (error) {
      const { code, params } = error as Failure;
      if (code !== 'HOST_IS_SLAVE') throw error;
      return logIn(`http://${params[0]}:${new URL(host.http).port}`);
    }
  });

/** A client that writes for ever, by whichever host leads, and remembers what it was answered. */
const writer = (vm: string, hosts: readonly PoolHost[], name: string) => {
  const kept: string[] = [];
  let stopped = false;
  const run = async (): Promise<void> => {
    let current: Session | undefined;
    for (let step = 0; !stopped; step += 1) {
      const key = `${name}-${step}`;
      try {
        current ??= await leaderSession(hosts);
        await current.call('VM.add_to_other_config', vm, key, 'x');
        kept.push(key);
      } catch {
        // Nobody knows whether it was done.
        current = undefined;
      }
    }
  };
  const running = run();
  return {
    kept,
    stop: async () => {
      stopped = true;
      await running;
    },
  };
};

const missingOf = async (from: Session, vm: string, kept: readonly string[]): Promise<readonly string[]> => {
  const config = (await from.call('VM.get_other_config', vm)) as Row;
  return kept.filter((key) => !config.has(key));
};

describe('the lead', () => {
  test('is handed to another and back, again and again, while guests run and clients write', async () => {
    const vm = await newVm(session, 'goes on');
    await session.call('VM.start_on', vm, ref(2), false, false);
    const writers = ['a', 'b', 'c'].map((name) => writer(vm, pool.hosts, name));
    let longestMs = 0;
    for (const to of [1, 0, 1, 0]) {
      const before = await leaderSession(pool.hosts);
      const askedMs = Date.now();
      const answer = await codeOf(before.call('pool.designate_new_master', ref(to)));
      expect(['done', expect.stringContaining('no answer')]).toContainEqual(answer);
      const leader = await leaderOf(pool.hosts);
      longestMs = Math.max(longestMs, Date.now() - askedMs);
      expect(leader.address).toBe(pool.host(to).address);
    }
    await Promise.all(writers.map((one) => one.stop()));
    expect(longestMs).toBeLessThan(15_000);
    session = await following(pool.host(1));
    for (const { kept } of writers) {
      expect(kept.length).toBeGreaterThan(0);
      expect(await missingOf(session, vm, kept)).toEqual([]);
    }
    expect(await session.call('VM.get_power_state', vm)).toBe('Running');
    expect(await session.call('VM.get_resident_on', vm)).toBe(ref(2));
    await session.call('VM.hard_shutdown', vm);
    await session.call('VM.destroy', vm);
    expect(await looseEnds(session)).toEqual([]);
  });

  test('is found by a client that asks any host', async () => {
    for (const host of pool.hosts) {
      const found = await following(host);
      expect(await found.call('host.get_address', ref(0))).toBe(pool.host(0).address);
    }
  });
});

describe('a coordinator that dies', () => {
  let onDead: string;
  let onOther: string;
  let uuid: string;
  let writers: readonly ReturnType<typeof writer>[];
  let kept: readonly string[];

  beforeAll(async () => {
    onDead = await newVm(session, 'on the host that dies');
    onOther = await newVm(session, 'on another');
    uuid = (await session.call('VM.get_uuid', onDead)) as string;
    await session.call('VM.start_on', onDead, ref(0), false, false);
    await session.call('VM.start_on', onOther, ref(2), false, false);
    writers = ['d', 'e', 'f'].map((name) => writer(onOther, pool.hosts, name));
    await eventually(async () => expect(writers.every((one) => one.kept.length > 10)).toBe(true));
  });

  test('leaves members that say so within seconds, and that let root in', async () => {
    await pool.host(0).down('SIGKILL');
    kept = writers.flatMap((one) => [...one.kept]);
    await expect
      .poll(() => codeOf(logIn(pool.host(1).http)), { timeout: 20_000, interval: 100 })
      .toBe('HOST_STILL_BOOTING');
    const local = await logInHere(pool.host(1));
    expect(await local.call('host.is_in_emergency_mode')).toBe(true);
    expect(await codeOf(local.call('VM.get_all'))).toBe('HOST_STILL_BOOTING');
    await expect(
      call(pool.host(1).http, 'session.slave_local_login_with_password', ['root', 'wrong']),
    ).rejects.toMatchObject({ code: 'SESSION_AUTHENTICATION_FAILED' });
  });

  test('is followed by the member that is told to lead, with everything that was acknowledged', async () => {
    const local = await logInHere(pool.host(1));
    const refused = local.call('pool.emergency_transition_to_master');
    await expect(refused).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' });
    await expect(refused).rejects.toThrow(
      /up to generation \d+ of epoch \d+.*seconds ago.*xenact lead --force/,
    );
    const asked = pool.host(1).command('lead');
    expect(asked).toMatchObject({ status: 1, text: expect.stringContaining('xenact lead --force') });
    expect(await codeOf(logIn(pool.host(1).http))).toBe('HOST_STILL_BOOTING');
    expect(pool.host(1).command('lead', '--force')).toMatchObject({ status: 0 });
    session = await leaderSession(pool.hosts.slice(1));
    expect((await leaderOf(pool.hosts.slice(1))).address).toBe(pool.host(1).address);
    await eventually(async () => {
      const alerts = [...(await rowsOf(session, 'message')).values()].map((row) => text(row, 'name'));
      expect(alerts).toContain('COORDINATOR_FORCED');
    });
    expect(await missingOf(session, onOther, kept)).toEqual([]);
    expect(await session.call('pool.recover_slaves')).toEqual(expect.arrayContaining([ref(1), ref(2)]));
    const found = await following(pool.host(2));
    expect(await found.call('VM.get_power_state', onOther)).toBe('Running');
    await expect.poll(() => codeOf(found.call('VM.hard_shutdown', onOther)), patience).toBe('done');
    const before = writers.map((one) => one.kept.length);
    await eventually(async () =>
      expect(writers.every((one, index) => one.kept.length > Number(before[index]))).toBe(true),
    );
  });

  test('takes its guests with it until somebody says that it is off, and then they start elsewhere', async () => {
    const metrics = (await session.call('host.get_metrics', ref(0))) as string;
    await expect
      .poll(() => session.call('host_metrics.get_live', metrics), { timeout: 30_000, interval: 200 })
      .toBe(false);
    expect(await codeOf(session.call('VM.start', onDead, false, false))).not.toBe('done');
    expect(await session.call('VM.get_resident_on', onDead)).toBe(ref(0));
    await session.call('host.declare_dead', ref(0));
    expect(await session.call('VM.get_power_state', onDead)).toBe('Halted');
    await session.call('VM.start', onDead, false, false);
    expect([ref(1), ref(2)]).toContain(await session.call('VM.get_resident_on', onDead));
  });

  test('comes back as a member, and ends what runs elsewhere by now', async () => {
    await pool.host(0).up();
    await Promise.all(writers.map((one) => one.stop()));
    expect(await codeOf(logIn(pool.host(0).http))).toBe('HOST_IS_SLAVE');
    await expect.poll(() => pool.host(0).guests(), patience).toEqual([]);
    expect(await runTwice(pool.hosts)).toEqual([]);
    session = await following(pool.host(0));
    expect(await session.call('VM.get_power_state', onDead)).toBe('Running');
    const running = (await Promise.all(pool.hosts.map((host) => host.guests()))).flat();
    expect(running.filter((one) => one === uuid)).toHaveLength(1);
    for (const { kept: all } of writers) expect(await missingOf(session, onOther, all)).toEqual([]);
    const hosts = await rowsOf(session, 'host_metrics');
    await expect
      .poll(
        async () => [...(await rowsOf(session, 'host_metrics')).values()].map((row) => row.get('live')),
        patience,
      )
      .toEqual([...hosts].map(() => true));
    expect(await looseEnds(session)).toEqual([]);
    expect(text((await rowsOf(session, 'pool')).values().next().value, 'master')).toBe(ref(1));
  });
});
