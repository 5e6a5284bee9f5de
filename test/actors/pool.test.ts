// Goal: the pool admits what the XenAPI says, and a pool of one host says so of itself.
// Method: messages by wire name on one host in process.
import { describe, expect, test } from 'vitest';
import pool from '../../actors/pool/behaviour.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Membership } from '../../src/objects/membership.ts';
import { world } from '../world.ts';

describe('What a pool admits', () => {
  test('allowed_operations are those that are not refused', async () => {
    const here = await world({ behaviours: [pool] });
    const allowed = here.store.committed.require('pool', here.pool).allowed_operations;
    expect(allowed).toContain('ha_enable');
    expect(allowed).not.toContain('ha_disable');
    await here.close();
  });
});

describe('New certificates', () => {
  test('are refused while a guest or its disk is on its way between hosts, and made afterwards', async () => {
    let rotations = 0;
    const membership = {
      rotate: async () => {
        rotations += 1;
      },
    } as unknown as Membership;
    const here = await world({ behaviours: [pool], services: { membership } });
    const vm = 'OpaqueRef:traveller' as Ref<'VM'>;
    const busy = (operation: 'pool_migrate' | 'migrate_send' | 'clone') =>
      here.store.commit((tx) => tx.patch('VM', vm, { current_operations: new Map([['a task', operation]]) }));
    await here.store.commit((tx) => tx.create('VM', vm, { uuid: 'traveller' }));
    for (const operation of ['pool_migrate', 'migrate_send'] as const) {
      await busy(operation);
      await expect(here.call('pool.rotate_secret')).rejects.toMatchObject({
        code: 'OTHER_OPERATION_IN_PROGRESS',
        params: ['VM', vm, operation, 'a task'],
      });
    }
    expect(rotations).toBe(0);
    await busy('clone');
    await here.call('pool.rotate_secret');
    expect(rotations).toBe(1);
    await here.close();
  });
});

describe('A pool of one host', () => {
  test('is coordinated by it, and neither in an emergency nor protected from its failure', async () => {
    const here = await world({ behaviours: [pool] });
    expect(await here.call('pool.is_slave', here.host)).toBe(false);
    await expect(here.call('pool.is_slave', 'OpaqueRef:gone')).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    });
    for (const method of ['pool.emergency_transition_to_master', 'pool.emergency_reset_master']) {
      await expect(here.call(method, '')).rejects.toMatchObject({ code: 'NOT_IN_EMERGENCY_MODE' });
    }
    await expect(here.call('pool.disable_ha')).rejects.toMatchObject({ code: 'HA_NOT_ENABLED' });
    expect(await here.call('pool.ha_failover_plan_exists', 0n)).toBe(true);
    expect(await here.call('pool.ha_failover_plan_exists', 1n)).toBe(false);
    await here.call('pool.designate_new_master', here.host);
    await here.call('pool.sync_database');
    await here.close();
  });

  test('keeps settings of guest agents key by key', async () => {
    const here = await world({ behaviours: [pool] });
    await here.call('pool.add_to_guest_agent_config', here.pool, 'k', 'v');
    await expect(here.call('pool.add_to_guest_agent_config', here.pool, 'k', 'w')).rejects.toMatchObject({
      code: 'MAP_DUPLICATE_KEY',
    });
    await here.call('pool.remove_from_guest_agent_config', here.pool, 'k');
    await here.call('pool.remove_from_guest_agent_config', here.pool, 'k');
    expect(
      here.store.committed.require('pool', 'OpaqueRef:pool' as Ref<'pool'>).guest_agent_config.size,
    ).toBe(0);
    await here.close();
  });

  test.each(['set_local_auth_max_threads', 'set_ext_auth_cache_expiry'])(
    '%s takes no zero',
    async (setter) => {
      const here = await world({ behaviours: [pool] });
      await expect(here.call(`pool.${setter}`, here.pool, 0n)).rejects.toMatchObject({
        code: 'INVALID_VALUE',
      });
      await here.call(`pool.${setter}`, here.pool, 3n);
      await here.close();
    },
  );
});
