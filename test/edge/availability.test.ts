// Goal: a host that cannot do its part says so to every call but those for emergencies; a member sends clients to its coordinator.
// Method: a whole host behind the real HTTP server whose availability the test sets.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import hostBehaviour from '../../actors/host/behaviour.ts';
import pool from '../../actors/pool/behaviour.ts';
import type { Availability } from '../../src/objects/availability.ts';
import { Fault } from '../../src/std/fault.ts';
import { conformance } from '../conformance.ts';
import { type Served, served } from './served.ts';

let availability: Availability;
let host: Served;
let root: string;
beforeEach(async () => {
  availability = {};
  host = await served({ behaviours: [hostBehaviour, pool], services: { availability: () => availability } });
  root = await host.session();
});
afterEach(() => host.close());

describe('in an emergency', () => {
  beforeEach(() => {
    availability = { emergency: new Fault('HOST_STILL_BOOTING') };
  });

  const cases = conformance('forwarding_and_emergency').filter(({ name }) =>
    name.startsWith('emergency mode'),
  );
  test('exactly the recorded calls are let in', async () => {
    for (const { when, then } of cases) {
      const reply = await host.json(when['call'], root);
      const refused = 'error' in reply && reply.error[0] === 'HOST_STILL_BOOTING';
      expect(refused, when['call']).toBe(then['admitted'] !== true);
    }
  });

  test('it is answered before anything is looked at, unknown names and asynchronous forms included', async () => {
    for (const method of ['no.such', 'Async.pool.emergency_reset_master', 'system.listMethods', 'VM.start']) {
      expect(await host.json(method), method).toEqual({ error: ['HOST_STILL_BOOTING'] });
    }
    expect(await host.call('host.is_in_emergency_mode', root)).toBe(true);
    availability = {};
    expect(await host.call('host.is_in_emergency_mode', root)).toBe(false);
  });

  test('a login to this host alone needs no disk and nobody who decides, and is good for what is let in', async () => {
    host.world.disk.refuseWrites(new Error('nothing can be written'));
    const local = await host.call('session.slave_local_login_with_password', 'root', 'pa:ss');
    expect(await host.call('host.is_in_emergency_mode', local)).toBe(true);
    expect(await host.json('VM.get_all', local)).toEqual({ error: ['HOST_STILL_BOOTING'] });
    await host.call('session.local_logout', local);
    expect(await host.json('host.is_in_emergency_mode', local)).toEqual({
      error: ['SESSION_INVALID', local],
    });
  });
});

describe('a member of a pool', () => {
  beforeEach(() => {
    availability = { coordinator: '10.0.0.1' };
  });
  const slave = { error: ['HOST_IS_SLAVE', '10.0.0.1'] };

  test('names its coordinator to whoever calls or logs in', async () => {
    expect(await host.json('VM.get_all', root)).toEqual(slave);
    expect(await host.json('session.login_with_password', 'root', 'pa:ss', '1.0', '')).toEqual(slave);
    expect(await host.json('VM.get_all', 'OpaqueRef:bad')).toEqual({
      error: ['SESSION_INVALID', 'OpaqueRef:bad'],
    });
  });

  test('serves other hosts of the pool, and everybody what is its own to answer', async () => {
    const pooled = await host.session({ pool: true });
    expect(await host.call('VM.get_all', pooled)).toEqual([]);
    expect(await host.call('host.is_in_emergency_mode', root)).toBe(false);
  });
});
