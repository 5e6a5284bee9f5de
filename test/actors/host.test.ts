// Goal: a host admits what the XenAPI says, tells its figures truly and is never switched off by us.
// Method: messages by wire name on one host in process.
import { describe, expect, test } from 'vitest';
import host from '../../actors/host/behaviour.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { keepDisabled } from '../../src/objects/host-facts.ts';
import type { Tx } from '../../src/store/view.ts';
import { manualClock } from '../manual-clock.ts';
import { type World, type WorldOptions, world } from '../world.ts';

const metrics = 'OpaqueRef:metrics' as Ref<'host_metrics'>;
const GiB = 1n << 30n;

const opened = (options: WorldOptions = {}): Promise<World> =>
  world({
    behaviours: [host],
    ...options,
    rows: (tx) => {
      tx.create('host_metrics', metrics, { memory_total: 16n * GiB, live: true });
      tx.patch('host', 'OpaqueRef:host' as Ref<'host'>, { metrics });
      options.rows?.(tx);
    },
  });

const vmRow = (tx: Tx, name: string, fields: Partial<RecordNamed<'VM'>>): Ref<'VM'> => {
  const ref = `OpaqueRef:${name}` as Ref<'VM'>;
  tx.create('VM', ref, { uuid: name, ...fields });
  return ref;
};

const resident = (tx: Tx, name: string, fields: Partial<RecordNamed<'VM'>> = {}): Ref<'VM'> =>
  vmRow(tx, name, { resident_on: 'OpaqueRef:host' as Ref<'host'>, power_state: 'Running', ...fields });

const record = (here: World) => here.store.committed.require('host', here.host);

describe('What a host admits', () => {
  test('allowed_operations follow with each change of the row', async () => {
    const here = await opened();
    expect(record(here).allowed_operations).not.toContain('reboot');
    await here.call('host.disable', here.host);
    expect(record(here).allowed_operations).toContain('reboot');
    await here.call('host.enable', here.host);
    expect(record(here).allowed_operations).not.toContain('reboot');
    expect(record(here).enabled).toBe(true);
    await here.close();
  });
});

describe('What a host tells', () => {
  test('the time in UTC with a zone, and its local time without one', async () => {
    const clock = manualClock(Date.UTC(2026, 7, 21, 2, 0, 23));
    const here = await opened({ clock });
    expect(await here.call('host.get_servertime', here.host)).toBe('20260821T02:00:23Z');
    expect(await here.call('host.get_server_localtime', here.host)).toMatch(/^202608\d\dT\d\d:\d\d:23$/);
    await here.close();
  });

  test('as free the memory that no VM holds, on it or on its way to it', async () => {
    const here = await opened({
      rows: (tx) => {
        resident(tx, 'a', { memory_static_max: 4n * GiB, memory_dynamic_max: 4n * GiB, memory_overhead: 1n });
        vmRow(tx, 'b', {
          scheduled_to_be_resident_on: 'OpaqueRef:host' as Ref<'host'>,
          memory_static_max: GiB,
          memory_dynamic_max: GiB,
        });
        vmRow(tx, 'c', { memory_dynamic_max: 8n * GiB });
      },
    });
    expect(await here.call('host.compute_free_memory', here.host)).toBe(11n * GiB - 1n);
    await here.close();
  });

  test('its initiator name and multipathing in two places that say the same', async () => {
    const here = await opened();
    const row = () => here.store.committed.require('host', here.host);
    await here.call('host.set_iscsi_iqn', here.host, 'iqn.b');
    await here.call('host.set_multipathing', here.host, true);
    expect([row().iscsi_iqn, row().other_config.get('iscsi_iqn')]).toEqual(['iqn.b', 'iqn.b']);
    expect([row().multipathing, row().other_config.get('multipathing')]).toEqual([true, 'true']);
    await here.call('host.remove_from_other_config', here.host, 'iscsi_iqn');
    await here.call('host.add_to_other_config', here.host, 'iscsi_iqn', 'iqn.c');
    await here.call('host.remove_from_other_config', here.host, 'multipathing');
    expect([row().iscsi_iqn, row().multipathing]).toEqual(['iqn.c', true]);
    await here.call('host.add_to_other_config', here.host, 'multipathing', 'false');
    expect(row().multipathing).toBe(false);
    await here.close();
  });

  test('its management interface, or that it has none', async () => {
    const here = await opened();
    await expect(here.call('host.get_management_interface', here.host)).rejects.toMatchObject({
      code: 'HOST_HAS_NO_MANAGEMENT_IP',
    });
    const pif = 'OpaqueRef:pif' as Ref<'PIF'>;
    await here.store.commit((tx) => tx.create('PIF', pif, { host: here.host, management: true }));
    expect(await here.call('host.get_management_interface', here.host)).toBe(pif);
    await here.close();
  });

  test('which plugins and extensions it lacks', async () => {
    const here = await opened();
    await expect(
      here.call('host.call_plugin', here.host, 'updater.py', 'check', new Map()),
    ).rejects.toMatchObject({
      code: 'XENAPI_MISSING_PLUGIN',
      params: ['updater.py'],
    });
    expect(await here.call('host.has_extension', here.host, 'x')).toBe(false);
    expect(await here.call('host.is_in_emergency_mode')).toBe(false);
    await here.close();
  });
});

describe('What a host does', () => {
  test('it stays disabled over a restart only if told so', async () => {
    const here = await opened();
    await here.call('host.disable', here.host, false);
    expect(record(here).other_config.get(keepDisabled)).toBe('true');
    await here.call('host.enable', here.host);
    expect(record(here).other_config.has(keepDisabled)).toBe(false);
    await here.call('host.disable', here.host);
    expect(record(here).other_config.has(keepDisabled)).toBe(false);
    await here.close();
  });

  test('it is empty already or cannot be emptied, as there is no other host', async () => {
    const here = await opened({ rows: (tx) => resident(tx, 'dom0', { is_control_domain: true }) });
    await here.call('host.evacuate', here.host);
    await here.store.commit((tx) => resident(tx, 'guest'));
    const reasons = new Map([['OpaqueRef:guest', ['NO_HOSTS_AVAILABLE']]]);
    expect(await here.call('host.get_vms_which_prevent_evacuation', here.host)).toEqual(reasons);
    for (const method of ['host.evacuate', 'host.assert_can_evacuate']) {
      await expect(here.call(method, here.host)).rejects.toMatchObject({
        code: 'CANNOT_EVACUATE_HOST',
        params: ['NO_HOSTS_AVAILABLE,OpaqueRef:guest'],
      });
    }
    await here.close();
  });

  test.each(['host.shutdown', 'host.reboot'])('%s never reaches the machine', async (method) => {
    const here = await opened({ rows: (tx) => resident(tx, 'guest') });
    await expect(here.call(method, here.host)).rejects.toMatchObject({ code: 'HOST_NOT_DISABLED' });
    await here.call('host.disable', here.host);
    await expect(here.call(method, here.host)).rejects.toMatchObject({ code: 'HOST_HAS_RESIDENT_VMS' });
    await here.store.commit((tx) => tx.delete('VM', 'OpaqueRef:guest' as Ref<'VM'>));
    await expect(here.call(method, here.host)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' });
    await here.close();
  });

  test('its toolstack restarts once the answer is out', async () => {
    const clock = manualClock();
    let restarts = 0;
    const here = await opened({
      clock,
      services: {
        restart: () => {
          restarts += 1;
        },
      },
    });
    await here.call('host.restart_agent', here.host);
    expect(restarts).toBe(0);
    await clock.advance(1_000);
    expect(restarts).toBe(1);
    await here.close();
  });
});
