// Goal: a host that joins says nothing of use to anybody but the coordinator that it was told of, and the coordinator
// takes in nobody who was not asked to come.
// Method: both sides in process with a door between them that a test may have somebody else stand in.
import { scryptSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenDoor, PoolDoor } from '../../src/drivers/pool-door.ts';
import type { Ref } from '../../src/model/types.ts';
import { joinPaths, type TakingIn } from '../../src/objects/membership.ts';
import { type PoolContext, poolLimits } from '../../src/pool/context.ts';
import { invitationsMax, tokenOf } from '../../src/pool/invitations.ts';
import { type JoinParts, join } from '../../src/pool/join.ts';
import type { Pool } from '../../src/pool/pool.ts';
import { saidOf, sayable } from '../../src/pool/protocol.ts';
import type { PoolState } from '../../src/pool/state.ts';
import { takingInOf, tokenMsMax, wrongProofsMax } from '../../src/pool/taking-in.ts';
import { giveRole } from '../../src/rules/local-users.ts';
import { Fault } from '../../src/std/fault.ts';
import { type ManualClock, manualClock } from '../manual-clock.ts';
import { type World, world } from '../world.ts';

const right = 'the right password';
const cost = { N: 16_384, r: 8, p: 1 } as const;
const salt = Buffer.alloc(16, 7);
const verifier = {
  salt: salt.toString('base64'),
  key: scryptSync(right, salt, 32, cost).toString('base64'),
  ...cost,
};
const [coordinatorPin, joinerPin, impostorPin] = ['c', 'a', 'e'].map((digit) => digit.repeat(64)) as [
  string,
  string,
  string,
];

let pool: World;
let alone: World;
let clock: ManualClock;
let takingIn: TakingIn;
let saved: PoolState | undefined;
let role: 'leads' | 'follows';

const stateOf = () => ({
  current: undefined,
  save: async (state: PoolState) => {
    saved = state;
  },
});

const contextOf = (of: World, host: string): PoolContext =>
  ({
    ...of.services,
    store: of.store,
    host,
    clock,
    state: stateOf(),
    limits: poolLimits,
  }) as unknown as PoolContext;

beforeEach(async () => {
  clock = manualClock();
  saved = undefined;
  role = 'leads';
  pool = await world();
  alone = await world();
  const duty = () => (role === 'leads' ? { kind: 'leads' } : { kind: 'follows' });
  takingIn = takingInOf({
    context: contextOf(pool, pool.host),
    pool: {
      get duty() {
        return duty();
      },
      availability: () => ({ coordinator: '10.0.0.1' }),
    } as unknown as Pool,
    credentials: { exported: () => 'users of the pool', verifier: () => verifier },
    own: () => ({ address: '10.0.0.1', port: 8444n, pins: ['pin'], apiPort: 8443n }),
    fingerprint: coordinatorPin,
  });
});
afterEach(async () => {
  await pool.close();
  await alone.close();
});

/** What reaches whoever is behind a door. */
interface Said {
  readonly path: string;
  readonly body: Uint8Array;
  readonly invitation: string | undefined;
}

const doorTo = (
  answers: (said: Said) => Promise<Uint8Array>,
  { fingerprint = coordinatorPin, local = true } = {},
): { readonly door: PoolDoor; readonly heard: Said[] } => {
  const heard: Said[] = [];
  const opened: OpenDoor = {
    fingerprint,
    local,
    post: async (path, body, { invitation }) => {
      heard.push({ path, body, invitation });
      return { status: 200, body: await answers({ path, body, invitation }) };
    },
    close: () => {},
  };
  return { door: { open: async () => opened }, heard };
};

const coordinator = ({ path, body, invitation = '' }: Said): Promise<Uint8Array> => {
  if (path === joinPaths.hello) return takingIn.hello(body);
  if (path === joinPaths.prove) return takingIn.prove(body, '10.0.0.2');
  return takingIn.takeIn(invitation, async () => body);
};

const partsOf = (door: PoolDoor, more: Partial<JoinParts> = {}): JoinParts => ({
  context: contextOf(alone, alone.host),
  door,
  own: () => ({ address: '10.0.0.2', port: 8444n, pins: ['own'], apiPort: 8443n }),
  fingerprint: joinerPin,
  credentials: { adopt: async () => {} },
  ...more,
});

const joining = (door: PoolDoor, password: string, address = '10.0.0.1'): Promise<void> =>
  join(partsOf(door), { address, user: 'root', password, force: true });

const faultOf = async (done: Promise<unknown>): Promise<readonly string[]> => {
  const error = await done.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Fault)) throw new Error(`no fault but ${String(error)}`);
  return [error.code, ...error.params];
};

describe('a host that joins', () => {
  // Both worlds have a host of the same reference, so the joining one is renamed.
  beforeEach(async () => {
    const own = 'OpaqueRef:joiner' as Ref<'host'>;
    const record = alone.store.latest.require('host', alone.host);
    await alone.store.commit((tx) => {
      tx.create('host', own, { ...record, uuid: 'joiner' });
      tx.delete('host', alone.host);
    });
    alone = { ...alone, host: own };
  });

  test('is taken in by the password, which does not cross', async () => {
    const { door, heard } = doorTo(coordinator);
    await joining(door, right);
    expect(saved).toMatchObject({ role: 'member', change: 'joins', coordinator: { host: pool.host } });
    expect(heard.map(({ path }) => path)).toEqual([joinPaths.hello, joinPaths.prove, joinPaths.takeIn]);
    const all = Buffer.concat(heard.map(({ body }) => Buffer.from(body))).toString('latin1');
    for (const secret of [right, Buffer.from(right).toString('base64'), verifier.key])
      expect(all).not.toContain(secret);
    expect([...pool.store.committed.all('xenact_peer')].map(([, { address }]) => address)).toContain(
      '10.0.0.2',
    );
  });

  test('is connected to what all hosts share, by secrets of its own, and to nothing else', async () => {
    const [shared, local] = ['OpaqueRef:shared', 'OpaqueRef:local'] as [Ref<'SR'>, Ref<'SR'>];
    await pool.store.commit((tx) => {
      tx.create('secret', 'OpaqueRef:secret' as Ref<'secret'>, { uuid: 'its-uuid', value: 'hidden' });
      for (const [sr, isShared] of [[shared, true] as const, [local, false] as const]) {
        tx.create('SR', sr, { uuid: sr, type: 'nfs', shared: isShared });
        const device_config = new Map([
          ['server', 'filer'],
          ['password_secret', 'its-uuid'],
        ]);
        const pbd = `${sr}-pbd` as Ref<'PBD'>;
        tx.create('PBD', pbd, {
          uuid: pbd,
          SR: sr,
          host: pool.host,
          device_config,
          currently_attached: true,
        });
      }
    });
    await joining(doorTo(coordinator).door, right);
    const rows = pool.store.committed;
    const made = [...rows.all('PBD')].map(([, pbd]) => pbd).filter(({ host }) => host === alone.host);
    expect(made.map(({ SR, currently_attached }) => [SR, currently_attached])).toEqual([[shared, false]]);
    const [config] = made.map(({ device_config }) => device_config);
    expect(config?.get('server')).toBe('filer');
    const secret = config?.get('password_secret') ?? '';
    expect(secret).not.toBe('its-uuid');
    expect(rows.require('secret', rows.byUuid('secret', secret) as Ref<'secret'>).value).toBe('hidden');
    // Its next start makes the connection.
    expect(made[0]?.other_config.get('xenact:plug-at-start')).toBe('true');
  });

  test('is not taken in by a wrong one, which is answered late', async () => {
    const { door, heard } = doorTo(coordinator);
    const refused = faultOf(joining(door, 'a wrong password'));
    await clock.waiting(1);
    await clock.advance(5_000);
    expect((await refused)[0]).toBe('SESSION_AUTHENTICATION_FAILED');
    expect(heard).toHaveLength(2);
    expect(saved).toBeUndefined();
  });

  test('is not taken in by a user who may not add hosts, though the password is right', async () => {
    const { door } = doorTo(coordinator);
    const target = { address: '10.0.0.1', user: 'ann', password: right, force: true };
    expect((await faultOf(join(partsOf(door), target)))[0]).toBe('RBAC_PERMISSION_DENIED');
    await pool.store.commit((tx) => giveRole(tx, pool.services, 'ann', 'vm-admin'));
    expect((await faultOf(join(partsOf(door), target)))[0]).toBe('RBAC_PERMISSION_DENIED');
    expect(saved).toBeUndefined();
  });

  test('says nothing to a stranger on another machine, and tells what was seen and how to go on', async () => {
    const { door, heard } = doorTo(coordinator, { local: false });
    const [code, why] = await faultOf(joining(door, right));
    expect(code).toBe('SSL_VERIFY_ERROR');
    expect(why).toContain(coordinatorPin);
    expect(why).toContain('xenact join-token');
    expect(heard).toEqual([]);
    await joining(door, right, `10.0.0.1#sha256:${coordinatorPin}`);
    expect(saved).toMatchObject({ role: 'member' });
  });

  test('says nothing where another answers than was named', async () => {
    const { door, heard } = doorTo(coordinator, { fingerprint: impostorPin });
    const [code] = await faultOf(joining(door, right, `10.0.0.1#${coordinatorPin}`));
    expect(code).toBe('SSL_VERIFY_ERROR');
    const [withToken] = await faultOf(joining(door, takingIn.token()));
    expect(withToken).toBe('SSL_VERIFY_ERROR');
    expect(heard).toEqual([]);
  });

  test('gives an impostor who passes everything on neither its rows nor a way in', async () => {
    const { door, heard } = doorTo(coordinator, { fingerprint: impostorPin });
    const refused = faultOf(joining(door, right));
    await clock.waiting(1);
    await clock.advance(5_000);
    expect((await refused)[0]).toBe('SESSION_AUTHENTICATION_FAILED');
    expect(heard.map(({ path }) => path)).not.toContain(joinPaths.takeIn);
  });

  test('gives one who takes any proof nothing more, as he cannot prove himself', async () => {
    const { door, heard } = doorTo(async ({ path, body }) =>
      path === joinPaths.hello
        ? takingIn.hello(body)
        : sayable({ signature: 'c'.repeat(44), invitation: 'x'.repeat(43) }),
    );
    expect((await faultOf(joining(door, right)))[0]).toBe('SSL_VERIFY_ERROR');
    expect(heard).toHaveLength(2);
    expect(saved).toBeUndefined();
  });

  test.each([
    ['a hash that is quick to guess from', { N: 2 }],
    ['one that takes all memory', { N: 1 << 30 }],
    ['a salt that is known beforehand', { salt: '' }],
  ])('does not answer who asks for %s', async (_, odd) => {
    const { door, heard } = doorTo(async ({ body }) =>
      sayable({ ...(saidOf(await takingIn.hello(body)) as object), ...odd }),
    );
    expect(await faultOf(joining(door, right))).toEqual(['JOINING_HOST_SERVICE_FAILED']);
    expect(heard).toHaveLength(1);
  });

  test('joins by a token once, within its time, and again where it was refused', async () => {
    const token = takingIn.token();
    expect(tokenOf(token)?.fingerprint).toBe(coordinatorPin);
    const { door } = doorTo(coordinator, { local: false });
    role = 'follows';
    expect((await faultOf(joining(door, token)))[0]).toBe('HOST_IS_SLAVE');
    role = 'leads';
    await joining(door, token);
    expect((await faultOf(joining(door, token)))[0]).toBe('SESSION_AUTHENTICATION_FAILED');
    const late = takingIn.token();
    await clock.advance(tokenMsMax + 1);
    expect((await faultOf(joining(door, late)))[0]).toBe('SESSION_AUTHENTICATION_FAILED');
  });

  test('does not join itself, at whichever of its addresses', async () => {
    const { door, heard } = doorTo(coordinator, { fingerprint: joinerPin });
    const itself = ['OPERATION_NOT_ALLOWED', 'Host cannot become slave of itself'];
    expect(await faultOf(joining(door, right))).toEqual(itself);
    expect(heard).toEqual([]);
    // Where the certificate is everybody's, the coordinator knows its own host.
    const parts = { ...partsOf(doorTo(coordinator).door), context: contextOf(alone, pool.host) };
    await alone.store.commit((tx) => tx.create('host', pool.host, { uuid: 'same' }));
    await alone.store.commit((tx) => tx.delete('host', 'OpaqueRef:joiner' as Ref<'host'>));
    const target = { address: '10.0.0.1', user: 'root', password: right, force: false };
    expect(await faultOf(join(parts, target))).toEqual(itself);
  });
});

describe('a coordinator', () => {
  const code = async (answer: Promise<Uint8Array>): Promise<unknown> =>
    (saidOf(await answer) as { readonly fault?: string }).fault;

  test('reads nothing of whoever has no invitation', async () => {
    let read = false;
    const body = async (): Promise<Uint8Array> => {
      read = true;
      return new Uint8Array();
    };
    expect(await code(takingIn.takeIn('x'.repeat(43), body))).toBe('SESSION_AUTHENTICATION_FAILED');
    expect(read).toBe(false);
    for (const nonsense of [Buffer.from('x'), Buffer.from('1'), sayable({ user: 1 })]) {
      expect(await code(takingIn.hello(nonsense))).toBe('JOINING_HOST_SERVICE_FAILED');
      expect(await code(takingIn.prove(nonsense, ''))).toBe('JOINING_HOST_SERVICE_FAILED');
    }
  });

  test('takes few guesses of one address at a time, and those of others all the same', async () => {
    const challenge = saidOf(await takingIn.hello(sayable({ user: 'root', nonce: 'n'.repeat(32) }))) as {
      readonly nonce: string;
    };
    const guess = sayable({
      user: 'root',
      clientNonce: 'n'.repeat(32),
      nonce: challenge.nonce,
      proof: 'guess',
    });
    const waiting = Array.from({ length: wrongProofsMax }, () => code(takingIn.prove(guess, '10.6.6.6')));
    expect(await code(takingIn.prove(guess, '10.6.6.6'))).toBe('TOO_MANY_PENDING_TASKS');
    const { door } = doorTo(coordinator);
    const own = 'OpaqueRef:joiner' as Ref<'host'>;
    await alone.store.commit((tx) => {
      tx.create('host', own, { ...tx.require('host', alone.host), uuid: 'joiner' });
      tx.delete('host', alone.host);
    });
    await join(partsOf(door, { context: contextOf(alone, own) }), {
      ...{ address: '10.0.0.1', user: 'root', password: right, force: true },
    });
    await clock.advance(5_000);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['SESSION_AUTHENTICATION_FAILED']));
  });

  test('has so many tokens out at a time', async () => {
    for (let made = 0; made < invitationsMax; made += 1) takingIn.token();
    expect(() => takingIn.token()).toThrow('TOO_MANY_PENDING_TASKS');
    await clock.advance(tokenMsMax + 1);
    expect(takingIn.token()).toMatch(/^xenact-join\./);
  });
});
