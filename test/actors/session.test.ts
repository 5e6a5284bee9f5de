// Goal: sessions are given to those who know a password, end when they should, and cannot fill the host.
// Method: session messages by wire name on one host in process, with a clock that the test moves.
import { describe, expect, test } from 'vitest';
import session from '../../actors/session/behaviour.ts';
import { collectSessions, idleMs } from '../../actors/session/collect.ts';
import {
  delayedMax,
  failuresOf,
  failuresPerStep,
  forgivenMs,
  sourcesMax,
  wrongPasswordMs,
  wrongPasswordMsMax,
} from '../../actors/session/failures.ts';
import { originatorCharsMax } from '../../actors/session/login.ts';
import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import type { Caller } from '../../src/objects/implement.ts';
import {
  sessionsAnonymousMax,
  sessionsOfPoolMax,
  sessionsPerOriginatorMax,
} from '../../src/rules/sessions.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { manualClock } from '../manual-clock.ts';
import { type World, type WorldOptions, world } from '../world.ts';

const root = 'OpaqueRef:root' as Ref<'user'>;

const opened = async (options: WorldOptions = {}) => {
  const clock = manualClock();
  const passwords = new Map([['root', 'right']]);
  const here = await world({
    behaviours: [session],
    clock,
    ...options,
    rows: (tx) => {
      tx.create('user', root, { short_name: 'root' });
      options.rows?.(tx);
    },
    services: {
      credentials: {
        verify: async (user, password) => passwords.get(user) === password,
        setPassword: async (user, password) => {
          passwords.set(user, password);
        },
      },
      ...options.services,
    },
  });
  return { ...here, clock, passwords };
};

const callerOf = (ref: Ref<'session'>, role: Caller['role'] = '_local_root_'): Caller => ({
  session: ref,
  user: 'root',
  role,
  originator: '',
});

const count = (here: Pick<World, 'store'>): number => [...here.store.committed.all('session')].length;

const existing = (tx: Tx, name: string, lastActiveMs: number, fields: object = {}): Ref<'session'> => {
  const ref = `OpaqueRef:${name}` as Ref<'session'>;
  tx.create('session', ref, { uuid: name, last_active: dateTimeOf(lastActiveMs), ...fields });
  return ref;
};

describe('Logging in', () => {
  test('the right password opens a session of a superuser, with what the client said of itself', async () => {
    const here = await opened();
    const ref = await here.call('session.login_with_password', 'root', 'right', '2.0', 'xen-api');
    expect(here.store.committed.require('session', ref)).toMatchObject({
      this_host: here.host,
      this_user: root,
      is_local_superuser: true,
      auth_user_name: 'root',
      originator: 'xen-api',
      pool: false,
    });
    await here.close();
  });

  test('two parameters are enough, and an endless name of a client is cut', async () => {
    const here = await opened();
    await here.call('session.login_with_password', 'root', 'right');
    const long = await here.call('session.login_with_password', 'root', 'right', '', 'x'.repeat(10_000));
    expect(here.store.committed.require('session', long).originator).toHaveLength(originatorCharsMax);
    await here.close();
  });

  test('a wrong password is answered no sooner than after the delay, and opens nothing', async () => {
    const here = await opened();
    let answered: unknown;
    const attempt = here.call('session.login_with_password', 'root', 'wrong').catch((error) => {
      answered = error;
    });
    await here.clock.waiting(1);
    await here.clock.advance(wrongPasswordMs - 1);
    expect(answered).toBeUndefined();
    await here.clock.advance(1);
    await attempt;
    expect(answered).toMatchObject({
      code: 'SESSION_AUTHENTICATION_FAILED',
      params: ['root', expect.any(String)],
    });
    expect(count(here)).toBe(0);
    await here.close();
  });

  test('while many wrong passwords wait for their answer, the right one is let in at once', async () => {
    const here = await opened();
    const attempts = Array.from({ length: 100 }, () =>
      here.call('session.login_with_password', 'root', 'wrong').catch(({ code }) => code),
    );
    await here.clock.waiting(100);
    await here.call('session.login_with_password', 'root', 'right');
    await here.clock.advance(wrongPasswordMs);
    expect(new Set(await Promise.all(attempts))).toEqual(new Set(['SESSION_AUTHENTICATION_FAILED']));
    await here.close();
  });

  test('a check that finds no turn is refused as late as a wrong password', async () => {
    const busy = async (): Promise<boolean> => {
      throw new Fault('TOO_MANY_PENDING_TASKS');
    };
    const here = await opened({
      services: { credentials: { verify: busy, setPassword: async () => {} } },
    });
    const attempt = here.call('session.login_with_password', 'root', 'right').catch(({ code }) => code);
    await here.clock.waiting(1);
    await here.clock.advance(wrongPasswordMs);
    expect(await attempt).toBe('TOO_MANY_PENDING_TASKS');
    await here.close();
  });

  test('the check is told where the login comes from', async () => {
    const addresses: unknown[] = [];
    const here = await opened({
      services: {
        credentials: {
          verify: async (_user, _password, address) => {
            addresses.push(address);
            return true;
          },
          setPassword: async () => {},
        },
      },
    });
    const from = { ...callerOf('OpaqueRef:NULL' as Ref<'session'>), address: '192.0.2.7' };
    await here.callAs(from, 'session.login_with_password', 'root', 'any');
    await here.callAs(from, 'session.slave_local_login_with_password', 'root', 'any');
    expect(addresses).toEqual(['192.0.2.7', '192.0.2.7']);
    await here.close();
  });

  test('logins by a pool secret are refused, as there is none', async () => {
    const here = await opened();
    for (const [method, ...args] of [
      ['session.slave_login', here.host, 'secret'],
      ['session.slave_local_login', ''],
    ] as const) {
      await expect(here.call(method, ...args)).rejects.toMatchObject({
        code: 'SESSION_AUTHENTICATION_FAILED',
      });
    }
    await expect(here.call('session.slave_local_login_with_password', 'root', 'right')).resolves.toMatch(
      /^OpaqueRef:/,
    );
    await here.close();
  });
});

describe('Failed logins', () => {
  const failures = () => {
    const clock = manualClock();
    const credentials = { verify: async () => false, setPassword: async () => {} };
    const known = failuresOf(credentials, clock);
    /** How late the answer to a login that fails now is. */
    const lateMs = async (address: string): Promise<number> => {
      const cameMs = clock.monotonicMs();
      let isOver = false;
      const waited = known.wait(address, cameMs, new AbortController().signal).then(() => {
        isOver = true;
      });
      for (await clock.advance(0); !isOver; ) await clock.advance(1_000);
      await waited;
      return clock.monotonicMs() - cameMs;
    };
    const fail = (address: string, times: number): void => {
      for (let i = 0; i < times; i += 1) known.add(address);
    };
    return { clock, known, lateMs, fail };
  };

  test('of one source are answered later the more there are, of others they are not', async () => {
    const { lateMs, fail } = failures();
    fail('192.0.2.1', 1);
    expect(await lateMs('192.0.2.1')).toBe(wrongPasswordMs);
    fail('192.0.2.1', failuresPerStep);
    expect(await lateMs('192.0.2.1')).toBe(2 * wrongPasswordMs);
    fail('192.0.2.1', 100 * failuresPerStep);
    expect(await lateMs('192.0.2.1')).toBe(wrongPasswordMsMax);
    expect(await lateMs('192.0.2.2')).toBe(wrongPasswordMs);
  });

  test('of a whole IPv6 network are those of one source', async () => {
    const { lateMs, fail } = failures();
    fail('2001:db8::1', failuresPerStep);
    expect(await lateMs('2001:db8:0:0:ffff::2')).toBe(2 * wrongPasswordMs);
    expect(await lateMs('2001:db8:0:1::1')).toBe(wrongPasswordMs);
  });

  test('are forgiven after a while, and remembered of a bounded number of sources', async () => {
    const { clock, known, fail } = failures();
    fail('192.0.2.1', 10);
    await clock.advance(forgivenMs + 1);
    expect(known.add('192.0.2.1')).toBe(1);
    for (let i = 0; i < sourcesMax; i += 1) known.add(`10.0.${i >> 8}.${i & 255}`);
    expect(known.add('192.0.2.1')).toBe(1);
  });

  test('that find no room to wait are answered at once', async () => {
    const { clock, known, lateMs } = failures();
    for (let i = 0; i < delayedMax; i += 1) void known.wait('192.0.2.1', 0, new AbortController().signal);
    await clock.waiting(delayedMax);
    expect(await lateMs('192.0.2.2')).toBe(0);
  });
});

describe('Ending sessions', () => {
  test('logout ends the session that it is called with', async () => {
    const here = await opened();
    const ref = await here.call('session.login_with_password', 'root', 'right');
    const other = await here.call('session.login_with_password', 'root', 'right');
    await here.callAs(callerOf(ref), 'session.logout');
    expect(here.store.committed.get('session', ref)).toBeUndefined();
    expect(here.store.committed.get('session', other)).toBeDefined();
    await here.close();
  });

  test('the sessions of one directory user are ended together, the caller’s own excepted', async () => {
    const here = await opened({
      rows: (tx) => {
        for (const name of ['a', 'b', 'c'])
          existing(tx, name, 0, { auth_user_sid: name === 'c' ? 'S-2' : 'S-1' });
      },
    });
    expect(await here.call('session.get_all_subject_identifiers')).toEqual(['S-1', 'S-2']);
    const own = callerOf('OpaqueRef:a' as Ref<'session'>);
    await here.callAs(own, 'session.logout_subject_identifier', 'S-1');
    expect([...here.store.committed.all('session')].map(([ref]) => ref)).toEqual([
      'OpaqueRef:a',
      'OpaqueRef:c',
    ]);
    await here.close();
  });

  test('a client that never logs out ends its own oldest session with the next one', async () => {
    const here = await opened({
      rows: (tx) => {
        for (let i = 0; i < sessionsPerOriginatorMax; i += 1) {
          existing(tx, `s${i}`, i * 1000, { originator: 'leaky', is_local_superuser: true });
        }
        existing(tx, 'other', 0, { originator: 'tidy', is_local_superuser: true });
      },
    });
    await here.call('session.login_with_password', 'root', 'right', '', 'leaky');
    expect(here.store.committed.get('session', 'OpaqueRef:s0' as Ref<'session'>)).toBeUndefined();
    expect(here.store.committed.get('session', 'OpaqueRef:s1' as Ref<'session'>)).toBeDefined();
    expect(here.store.committed.get('session', 'OpaqueRef:other' as Ref<'session'>)).toBeDefined();
    expect(count(here)).toBe(sessionsPerOriginatorMax + 1);
    await here.close();
  });

  test('idle sessions are collected unless their work, or work they were opened for, goes on', async () => {
    const here = await opened();
    const nowMs = here.clock.now();
    await here.store.commit((tx) => {
      existing(tx, 'idle', nowMs - idleMs - 1000);
      existing(tx, 'fresh', nowMs - idleMs + 1000);
      const busy = existing(tx, 'busy', nowMs - idleMs - 1000);
      existing(tx, 'child', nowMs - idleMs - 1000, { parent: busy });
      tx.create('task', 'OpaqueRef:t' as Ref<'task'>, { session: busy, status: 'pending' });
    });
    expect(await here.store.commit((tx) => collectSessions(tx, nowMs))).toBe(1);
    expect([...here.store.committed.all('session')].map(([, { uuid }]) => uuid)).toEqual([
      'fresh',
      'busy',
      'child',
    ]);
    await here.store.commit((tx) => tx.patch('task', 'OpaqueRef:t' as Ref<'task'>, { status: 'success' }));
    expect(await here.store.commit((tx) => collectSessions(tx, nowMs))).toBe(2);
    await here.close();
  });

  test('sessions without a name and those of hosts have limits of their own', async () => {
    const here = await opened();
    const nowMs = here.clock.now();
    await here.store.commit((tx) => {
      for (let i = 0; i < sessionsAnonymousMax + 3; i += 1) existing(tx, `a${i}`, nowMs - i * 1000);
      for (let i = 0; i < sessionsOfPoolMax + 2; i += 1)
        existing(tx, `p${i}`, nowMs - i * 1000, { pool: true });
    });
    expect(await here.store.commit((tx) => collectSessions(tx, nowMs))).toBe(5);
    expect(here.store.committed.get('session', 'OpaqueRef:a0' as Ref<'session'>)).toBeDefined();
    expect(
      here.store.committed.get('session', `OpaqueRef:a${sessionsAnonymousMax + 2}` as Ref<'session'>),
    ).toBeUndefined();
    await here.close();
  });
});

describe('Passwords', () => {
  test('a superuser who knows the old one sets a new one; it holds for the next login, and his other sessions end', async () => {
    const here = await opened();
    const [own, other] = [
      await here.call('session.login_with_password', 'root', 'right'),
      await here.call('session.login_with_password', 'root', 'right'),
    ];
    const local = await here.call('session.slave_local_login_with_password', 'root', 'right');
    await here.store.commit((tx) => void existing(tx, 'somebody', 0, { auth_user_name: 'somebody' }));
    await here.callAs(callerOf(own), 'session.change_password', 'right', 'new');
    expect(here.passwords.get('root')).toBe('new');
    const left = [...here.store.committed.all('session')].map(([ref]) => ref);
    expect(left).toContain(own);
    expect(left).toContain('OpaqueRef:somebody');
    expect(left).not.toContain(other);
    expect(here.services.localSessions.userOf(local)).toBeUndefined();
    await here.close();
  });

  test('a wrong or an empty old one changes nothing, and is answered as late as a wrong login', async () => {
    const here = await opened();
    const ref = await here.call('session.login_with_password', 'root', 'right');
    for (const old of ['wrong', '']) {
      const attempt = here
        .callAs(callerOf(ref), 'session.change_password', old, 'new')
        .catch(({ code, params }) => [code, ...params]);
      await here.clock.waiting(1);
      await here.clock.advance(wrongPasswordMs);
      expect(await attempt).toEqual(['SESSION_AUTHENTICATION_FAILED', 'root', expect.any(String)]);
    }
    expect(here.passwords.get('root')).toBe('right');
    await here.close();
  });

  test('nobody else can', async () => {
    const here = await opened();
    const caller = callerOf('OpaqueRef:a' as Ref<'session'>, 'pool-admin');
    await expect(here.callAs(caller, 'session.change_password', '', 'new')).rejects.toMatchObject({
      code: 'USER_IS_NOT_LOCAL_SUPERUSER',
      params: ['Failed to change password for user root'],
    });
    await here.close();
  });
});
