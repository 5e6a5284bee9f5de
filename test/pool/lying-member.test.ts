// Goal: a member that lies changes nothing that others are trusted by: only the leader ejects a host, gives it users, has
// it take a new certificate or makes it lead, and nobody says of another host how it is known.
// Method: what a host serves to the others is called as each of them, in each part that the host may play.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { primaryLog } from '../../src/log/primary/primary.ts';
import type { Ref } from '../../src/model/types.ts';
import { type PoolContext, peerRef, poolLimits } from '../../src/pool/context.ts';
import { membershipOf } from '../../src/pool/membership.ts';
import { assertMember, assertOwnPeer, type Pool, poolOf } from '../../src/pool/pool.ts';
import type { PoolState } from '../../src/pool/state.ts';
import { Fault } from '../../src/std/fault.ts';
import { type ManualClock, manualClock } from '../manual-clock.ts';
import { type World, world } from '../world.ts';

type Serve = (payload: unknown, context: { readonly from: string }) => Promise<unknown>;

const [leader, liar] = ['OpaqueRef:leader', 'OpaqueRef:liar'];

let w: World;
let clock: ManualClock;
let pool: Pool;
let served: Map<string, Serve>;
let state: PoolState;
let done: string[];

beforeEach(async () => {
  w = await world();
  clock = manualClock();
  served = new Map();
  done = [];
  state = { host: w.host, role: 'member', epoch: 3, led: 0 };
  const mesh = {
    serve: (name: string, handle: Serve) => {
      served.set(name, handle);
      return () => {};
    },
    serveStream: () => () => {},
    onPeer: () => () => {},
    call: async (_host: string, name: string) => {
      if (name === 'follow') return { copy: false, generation: w.store.generation };
      throw new Error('nobody there');
    },
  };
  const stateFile = {
    get current() {
      return state;
    },
    save: async (next: PoolState) => {
      state = next;
    },
  };
  const store = Object.create(w.store, {
    reached: { value: async () => {} },
  });
  const replica = { position: { epoch: 3, generation: 1 }, follow: async () => {}, pause: async () => {} };
  const context = {
    ...{ ...w.services, store, replica, mesh, state: stateFile, host: w.host, clock, limits: poolLimits },
    isUp: () => true,
  } as unknown as PoolContext;
  pool = poolOf(context, {
    ...{ serves: false, addressOf: () => '', cancel: () => false, onLead: async () => {} },
    commits: primaryLog(context, { replicas: 0, alert: async () => {} }),
  });
  membershipOf({
    ...{ context, pool, own: () => ({ address: '', port: 1n, pins: [], apiPort: 1n }), fingerprint: '' },
    door: { open: async () => Promise.reject(new Error('nobody joins')) },
    credentials: {
      exported: () => 'the hashes of all passwords',
      verifier: () => ({ salt: '', key: '', N: 1, r: 1, p: 1 }),
      adopt: async (users) => void done.push(`users ${users}`),
    },
    nextCertificate: async () => {
      done.push('certificate');
      throw new Error('no certificate is made here');
    },
    restart: () => void done.push('restart'),
  });
  void pool.start({} as never);
});
afterEach(async () => {
  await pool.stop();
  await w.close();
});

const ask = (name: string, from: string, payload: unknown = {}): Promise<unknown> =>
  (served.get(name) as Serve)(payload, { from });

const trusting = [
  ['ejected', {}],
  ['newCredentials', { credentials: 'mine' }],
  ['rotate', {}],
  ['takeOver', {}],
  ['apply', { batch: {} }],
] as const;

test('a host that follows obeys its leader, and no other host', async () => {
  await ask('lead', leader, { epoch: 3 });
  await expect.poll(() => pool.duty).toMatchObject({ kind: 'follows', leader });
  for (const [name, payload] of trusting) {
    await expect(ask(name, liar, payload), name).rejects.toThrow('follows somebody else');
  }
  await expect(ask('credentials', liar)).rejects.toThrow('HOST_IS_SLAVE');
  expect(state.change).toBeUndefined();
  expect(done).toEqual([]);
  await ask('newCredentials', leader, { credentials: 'the pool’s' });
  await ask('ejected', leader);
  expect(done).toEqual(['users the pool’s']);
  expect(state.change).toBe('ejected');
});

test('a host that knows no leader obeys nobody', async () => {
  for (const [name, payload] of trusting) {
    await expect(ask(name, liar, payload), name).rejects.toBeInstanceOf(Fault);
    await expect(ask(name, leader, payload), name).rejects.toBeInstanceOf(Fault);
  }
  expect(done).toEqual([]);
});

test.each([
  ['gives another host its own certificate', { op: 'patch', ref: leader, fields: { pins: ['mine'] } }],
  ['makes a host that nobody took in', { op: 'create', ref: 'OpaqueRef:new', fields: {} }],
  ['takes a host away', { op: 'delete', ref: leader }],
  ['takes itself away', { op: 'delete', ref: liar }],
])('a change that %s is refused', (_, change) => {
  const own = { cls: 'VM', op: 'patch', ref: 'OpaqueRef:vm' as Ref<'VM'>, fields: {} };
  const changes = [own, { cls: 'xenact_peer', ...change }];
  expect(() => assertOwnPeer({ changes }, liar)).toThrow('only of itself');
  const itself = { cls: 'xenact_peer', op: 'patch', ref: liar, fields: { pins: ['next'] } };
  expect(() => assertOwnPeer({ changes: [own, itself] }, liar)).not.toThrow();
});

test('a host changes rows of the pool as long as it has a row there, and no longer', async () => {
  const [host, own] = [liar as Ref<'host'>, peerRef(liar as Ref<'host'>)];
  const reached = { address: '127.0.0.1', port: 1n, pins: [], apiPort: 1n };
  expect(() => assertMember(w, liar)).toThrow('HOST_STILL_BOOTING');
  await w.store.commit((tx) => tx.create('xenact_peer', own, { host, ...reached }));
  expect(() => assertMember(w, liar)).not.toThrow();
  await w.store.commit((tx) => tx.delete('xenact_peer', own));
  expect(() => assertMember(w, liar)).toThrow('HOST_STILL_BOOTING');
});
