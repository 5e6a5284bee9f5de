// Goal: networks get bridges of their own, are not taken from under anyone, and interfaces mirror the machine.
// Method: network and PIF messages by wire name on one host in process, with a machine that the test makes up.
import { describe, expect, test } from 'vitest';
import network from '../../actors/network/behaviour.ts';
import pif from '../../actors/pif/behaviour.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { HostFacts } from '../../src/objects/host-facts.ts';
import type { Tx } from '../../src/store/view.ts';
import { conformance } from '../conformance.ts';
import { cardFacts, machineFacts } from '../machine-facts.ts';
import { type World, world } from '../world.ts';

const opened = (facts: () => HostFacts = machineFacts): Promise<World> =>
  world({ behaviours: [network, pif], services: { facts: async () => facts() } });

const net = 'OpaqueRef:net' as Ref<'network'>;
const host = 'OpaqueRef:host' as Ref<'host'>;

const made = (here: World, fields: object = {}): Promise<Ref<'network'>> =>
  here.call('network.create', new Map(Object.entries({ other_config: new Map(), ...fields })));

const record = (here: World, ref: Ref<'network'>) => here.store.committed.require('network', ref);

const pifRow = (tx: Tx, name: string, fields: Partial<RecordNamed<'PIF'>> = {}): Ref<'PIF'> => {
  const ref = `OpaqueRef:${name}` as Ref<'PIF'>;
  tx.create('PIF', ref, { uuid: name, device: name, host, network: net, physical: true, ...fields });
  return ref;
};

const vifRow = (tx: Tx, name: string, fields: Partial<RecordNamed<'VIF'>>): Ref<'VIF'> => {
  const ref = `OpaqueRef:${name}` as Ref<'VIF'>;
  tx.create('VIF', ref, { uuid: name, network: net, ...fields });
  return ref;
};

describe('Networks', () => {
  test('get the first free bridge, or the one that was asked for', async () => {
    const here = await opened();
    const bridges = [
      record(here, await made(here)).bridge,
      record(here, await made(here, { bridge: 'mine' })).bridge,
      record(here, await made(here)).bridge,
    ];
    expect(bridges).toEqual(['xapi0', 'mine', 'xapi1']);
    await expect(made(here, { bridge: 'mine' })).rejects.toMatchObject({
      code: 'BRIDGE_NAME_EXISTS',
      params: ['mine'],
    });
    await expect(made(here, { bridge: 'a b' })).rejects.toMatchObject({ code: 'INVALID_VALUE' });
    expect(record(here, await made(here)).allowed_operations).toEqual(['attaching']);
    await here.close();
  });

  test('are not destroyed while cards or running VMs are on them, nor if the host needs them', async () => {
    const here = await opened();
    await here.store.commit((tx) => {
      tx.create('network', net, {
        uuid: 'net',
        other_config: new Map([['is_host_internal_management_network', 'true']]),
      });
      pifRow(tx, 'card');
      vifRow(tx, 'plugged', { currently_attached: true });
      vifRow(tx, 'idle', { currently_attached: false });
    });
    const refused = (code: string, params: readonly string[]) =>
      expect(here.call('network.destroy', net)).rejects.toMatchObject({ code, params });
    await refused('NETWORK_CONTAINS_PIF', ['OpaqueRef:card']);
    await here.store.commit((tx) => tx.delete('PIF', 'OpaqueRef:card' as Ref<'PIF'>));
    await refused('NETWORK_CONTAINS_VIF', ['OpaqueRef:plugged']);
    await here.store.commit((tx) => tx.delete('VIF', 'OpaqueRef:plugged' as Ref<'VIF'>));
    await refused('CANNOT_DESTROY_SYSTEM_NETWORK', [net]);
    await here.store.commit((tx) => tx.patch('network', net, { other_config: new Map() }));
    await here.call('network.destroy', net);
    expect(here.store.committed.get('network', net)).toBeUndefined();
    expect(here.store.committed.get('VIF', 'OpaqueRef:idle' as Ref<'VIF'>)).toBeUndefined();
    await here.close();
  });

  test('keep their locking mode while a running VM is plugged into them', async () => {
    const here = await opened();
    await here.store.commit((tx) => {
      tx.create('network', net, { uuid: 'net' });
      vifRow(tx, 'vif', { currently_attached: true, locking_mode: 'network_default' });
    });
    await expect(here.call('network.set_default_locking_mode', net, 'disabled')).rejects.toMatchObject({
      code: 'VIF_IN_USE',
      params: [net, 'OpaqueRef:vif'],
    });
    await here.store.commit((tx) =>
      tx.patch('VIF', 'OpaqueRef:vif' as Ref<'VIF'>, { currently_attached: false }),
    );
    await here.call('network.set_default_locking_mode', net, 'disabled');
    expect(record(here, net).default_locking_mode).toBe('disabled');
    await here.close();
  });

  test('have an MTU of 1500 where nobody asks for another', async () => {
    const here = await opened();
    const fields = {
      name_label: 'n',
      name_description: '',
      other_config: new Map(),
      tags: [],
      bridge: '',
      managed: true,
    };
    for (const mtu of [0n, -1n]) {
      const ref = await here.call('network.create', new Map(Object.entries({ ...fields, MTU: mtu })));
      expect(record(here, ref).MTU).toBe(1500n);
    }
    await here.close();
  });

  test('take MTUs that Ethernet knows', async () => {
    const here = await opened();
    const ref = await made(here);
    await here.call('network.set_MTU', ref, 9000n);
    for (const mtu of [67n, 65_536n, -1n]) {
      await expect(here.call('network.set_MTU', ref, mtu)).rejects.toMatchObject({ code: 'INVALID_VALUE' });
    }
    expect(record(here, ref).MTU).toBe(9000n);
    await here.close();
  });

  test('agree with every recorded case of their purposes', async () => {
    const cases = conformance('network_preconditions').filter(({ when }) =>
      String(when['call']).startsWith('network.'),
    );
    for (const { name, given, when, then } of cases) {
      const here = await opened();
      await here.store.commit((tx) => {
        tx.create('network', net, { purpose: given['network.purpose'] });
        tx.create('network', 'OpaqueRef:another' as Ref<'network'>, {
          purpose: given['another network.purpose'] ?? [],
        });
      });
      const answer = here.call(when['call'], net, when['value']);
      if (then['error'] === undefined) {
        await answer;
        expect(record(here, net).purpose, name).toEqual(then['network.purpose']);
      } else {
        const [code, ...params] = then['error'];
        await expect(answer, name).rejects.toMatchObject({ code, params });
      }
      await here.close();
    }
    expect(cases.length).toBeGreaterThan(5);
  });
});

describe('Interfaces', () => {
  test('a scan records new cards with their networks, renews known ones and removes none', async () => {
    let facts = machineFacts();
    const here = await opened(() => facts);
    await here.call('PIF.scan', here.host);
    facts = machineFacts({ cards: [cardFacts('eth10', { ip: '192.0.2.77' }), cardFacts('enp3s0')] });
    await here.call('PIF.scan', here.host);
    const seen = [...here.store.committed.all('PIF')].map(([, row]) => [
      row.device,
      row.IP,
      row.currently_attached,
    ]);
    expect(seen).toEqual([
      ['eth0', '', false],
      ['eth10', '192.0.2.77', true],
      ['enp3s0', '', true],
    ]);
    expect(here.store.committed.require('host', here.host).PIFs).toHaveLength(3);
    const bridges = [...here.store.committed.all('network')].map(([, { bridge }]) => bridge);
    expect(bridges).toEqual(['xenbr0', 'xenbr10', 'brenp3s0']);
    await here.close();
  });

  test('a card is introduced by its address, once, and only if the machine has it', async () => {
    const here = await opened();
    const [eth0] = machineFacts().cards;
    const ref = await here.call('PIF.introduce', here.host, eth0?.mac.toUpperCase(), '', false);
    expect(here.store.committed.require('PIF', ref)).toMatchObject({ device: 'eth0', managed: false });
    await expect(here.call('PIF.introduce', here.host, eth0?.mac, '', true)).rejects.toMatchObject({
      code: 'DUPLICATE_PIF_DEVICE_NAME',
      params: ['eth0'],
    });
    await expect(
      here.call('PIF.introduce', here.host, '00:00:00:00:00:01', 'eth9', true),
    ).rejects.toMatchObject({
      code: 'COULD_NOT_FIND_NETWORK_INTERFACE_WITH_SPECIFIED_DEVICE_NAME_AND_MAC_ADDRESS',
      params: ['eth9', '00:00:00:00:00:01'],
    });
    await here.close();
  });

  test('the way to the host is neither unplugged nor forgotten, nor is what VMs use', async () => {
    const here = await opened();
    await here.store.commit((tx) => {
      tx.create('network', net, { uuid: 'net' });
      pifRow(tx, 'way', { management: true, currently_attached: true });
      pifRow(tx, 'kept', { disallow_unplug: true, currently_attached: true });
      pifRow(tx, 'used', { currently_attached: true });
      tx.create('VM', 'OpaqueRef:vm' as Ref<'VM'>, { resident_on: host });
      vifRow(tx, 'vif', { VM: 'OpaqueRef:vm' as Ref<'VM'>, currently_attached: true });
    });
    for (const [name, code] of [
      ['way', 'PIF_IS_MANAGEMENT_INTERFACE'],
      ['kept', 'PIF_DOES_NOT_ALLOW_UNPLUG'],
      ['used', 'VIF_IN_USE'],
    ]) {
      await expect(here.call('PIF.unplug', `OpaqueRef:${name}`)).rejects.toMatchObject({ code });
    }
    await expect(here.call('PIF.forget', 'OpaqueRef:way')).rejects.toMatchObject({
      code: 'PIF_IS_MANAGEMENT_INTERFACE',
    });
    await expect(here.call('PIF.destroy', 'OpaqueRef:used')).rejects.toMatchObject({
      code: 'PIF_IS_PHYSICAL',
    });
    // What is up already is up; what is down is not ours to bring up.
    await here.call('PIF.plug', 'OpaqueRef:used');
    await here.call('PIF.forget', 'OpaqueRef:used');
    expect(here.store.committed.get('PIF', 'OpaqueRef:used' as Ref<'PIF'>)).toBeUndefined();
    await here.close();
  });
});
