// Goal: drives and cards are made, plugged, filled, moved and destroyed, live and not, and bad ones are named.
// Method: the real behaviours over a scripted daemon; what the daemon heard and what the rows say is compared.

import { afterEach, describe, expect, test } from 'vitest';
import { XenopsError } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { Ref } from '../../src/model/types.ts';
import { consoleEndpoint } from '../../src/rules/consoles.ts';
import { type Bench, bench, type FakeHypervisor, fakeHypervisor, vbdFields, vifFields } from './vm-bench.ts';

let hypervisor: FakeHypervisor;
let made: Bench | undefined;
afterEach(() => made?.close());

const setUp = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
  hypervisor = fakeHypervisor();
  made = await bench(hypervisor);
  return [made, await made.newVm()];
};
const running = async (): Promise<readonly [Bench, Ref<'VM'>]> => {
  const [at, vm] = await setUp();
  await at.call('VM.start', vm, false, false);
  return [at, vm];
};
const newDisk = (at: Bench): Promise<Ref<'VDI'>> =>
  at.call(
    'VDI.create',
    new Map<string, unknown>([
      ['SR', at.sr],
      ['virtual_size', 1n],
      ['type', 'user'],
      ['sharable', false],
      ['read_only', false],
      ['other_config', new Map()],
    ]),
  );
const vbd = ({ store }: Bench, ref: Ref<'VBD'>) => store.committed.require('VBD', ref);
const vif = ({ store }: Bench, ref: Ref<'VIF'>) => store.committed.require('VIF', ref);

describe('A drive', () => {
  test('goes where it is asked to or to the first free place, never where another is', async () => {
    const [at, vm] = await setUp();
    const VDI = await newDisk(at);
    const found = await at.call('VBD.create', vbdFields({ VM: vm, VDI }));
    expect(vbd(at, found).userdevice).toBe('1');
    expect((await at.call('VM.get_allowed_VBD_devices', vm)).slice(0, 2)).toEqual(['2', '4']);
    for (const [fields, code] of [
      [{ VDI, userdevice: 'hda' }, 'DEVICE_ALREADY_EXISTS'],
      [{ VDI, userdevice: 'nowhere' }, 'INVALID_DEVICE'],
      [{ VDI, type: 'CD' }, 'VBD_CDS_MUST_BE_READONLY'],
      [{ empty: true }, 'VBD_NOT_REMOVABLE_MEDIA'],
      [{ VDI: 'OpaqueRef:none' }, 'HANDLE_INVALID'],
    ] as const) {
      await expect(at.call('VBD.create', vbdFields({ VM: vm, ...fields }))).rejects.toMatchObject({ code });
    }
  });

  test('is plugged and unplugged while the guest runs', async () => {
    const [at, vm] = await running();
    const drive = await at.call('VBD.create', vbdFields({ VM: vm, VDI: await newDisk(at) }));
    await at.call('VBD.plug', drive);
    expect([vbd(at, drive).currently_attached, vbd(at, drive).device]).toEqual([true, 'xvdb']);
    await expect(at.call('VBD.plug', drive)).rejects.toMatchObject({ code: 'DEVICE_ALREADY_ATTACHED' });
    await expect(at.call('VBD.destroy', drive)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' });
    await at.call('VBD.unplug', drive);
    expect(vbd(at, drive).currently_attached).toBe(false);
    await at.call('VBD.destroy', drive);
    expect(at.store.committed.require('VM', vm).VBDs).not.toContain(drive);
  });

  test('that cannot be plugged is as it was', async () => {
    const [at, vm] = await running();
    const drive = await at.call('VBD.create', vbdFields({ VM: vm, VDI: await newDisk(at) }));
    const before = vbd(at, drive);
    hypervisor.faults.set(
      'plugVbd',
      new XenopsError('Storage_backend_error', ['SR_BACKEND_FAILURE_46', ['', 'no', '']]),
    );
    await expect(at.call('VBD.plug', drive)).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE_46' });
    expect(vbd(at, drive)).toEqual(before);
    expect(hypervisor.calls.at(-1)).toBe('removeVbd');
  });

  test('that is plugged stays so, whatever the daemon told of it on the way', async () => {
    const [at, vm] = await running();
    const drive = await at.call('VBD.create', vbdFields({ VM: vm, VDI: await newDisk(at) }));
    const seen: boolean[] = [];
    hypervisor.hooks.set('plugVbd', async () => {
      await at.reports.onVbd([at.uuid(vm), 'xvdb']);
      seen.push(at.store.latest.require('VBD', drive).currently_attached);
    });
    await at.call('VBD.plug', drive);
    expect([...seen, vbd(at, drive).currently_attached]).toEqual([true, true]);
    hypervisor.machines.get(at.uuid(vm))?.plugged.delete('xvdb');
    await at.reports.onVbd([at.uuid(vm), 'xvdb']);
    expect(at.store.latest.require('VBD', drive).currently_attached).toBe(false);
  });

  test('for CDs is filled and emptied, live and not', async () => {
    const [at, vm] = await setUp();
    const VDI = await newDisk(at);
    const drives = at.store.committed.require('VM', vm).VBDs;
    const cd = drives.find((ref) => vbd(at, ref).type === 'CD') as Ref<'VBD'>;
    await at.call('VBD.insert', cd, VDI);
    expect([vbd(at, cd).VDI, vbd(at, cd).empty]).toEqual([VDI, false]);
    await at.call('VM.start', vm, false, false);
    await at.call('VBD.eject', cd);
    await at.call('VBD.insert', cd, VDI);
    expect(hypervisor.calls.filter((call) => call.endsWith('Vbd'))).toEqual(['ejectVbd', 'insertVbd']);
    await expect(at.call('VBD.insert', cd, VDI)).rejects.toMatchObject({ code: 'VBD_NOT_EMPTY' });
  });
});

describe('A network card', () => {
  test('gets an address from the seed of its VM unless it brings one', async () => {
    const [at, vm] = await setUp();
    const own = await at.call(
      'VIF.create',
      vifFields({ VM: vm, network: at.network, device: '1', MAC: '00:16:3e:01:02:03' }),
    );
    expect([vif(at, own).MAC, vif(at, own).MAC_autogenerated]).toEqual(['00:16:3e:01:02:03', false]);
    const found = await at.call('VIF.create', vifFields({ VM: vm, network: at.network, device: '2' }));
    expect(vif(at, found).MAC).toMatch(/^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
    for (const [fields, code] of [
      [{ device: '1' }, 'DEVICE_ALREADY_EXISTS'],
      [{ device: 'eth0' }, 'INVALID_DEVICE'],
      [{ device: '5', MAC: 'nonsense' }, 'MAC_INVALID'],
      [{ device: '5', MAC: '01:16:3e:01:02:03' }, 'MAC_INVALID'],
      [{ device: '5', network: 'OpaqueRef:none' }, 'HANDLE_INVALID'],
    ] as const) {
      const given = vifFields({ VM: vm, network: at.network, ...fields });
      await expect(at.call('VIF.create', given)).rejects.toMatchObject({ code });
    }
    expect(await at.call('VM.get_allowed_VIF_devices', vm)).toEqual([
      '3',
      '4',
      '5',
      '6',
      '7',
      '8',
      '9',
      '10',
      '11',
      '12',
      '13',
      '14',
      '15',
    ]);
  });

  test('is plugged, moved and unplugged while the guest runs', async () => {
    const [at, vm] = await running();
    const other = 'OpaqueRef:other' as Ref<'network'>;
    await at.store.commit((tx) => tx.create('network', other, { uuid: 'other', bridge: 'xenbr1' }));
    const card = await at.call('VIF.create', vifFields({ VM: vm, network: at.network, device: '1' }));
    await at.call('VIF.plug', card);
    expect(vif(at, card).currently_attached).toBe(true);
    await at.call('VIF.move', card, other);
    expect([vif(at, card).network, hypervisor.calls.at(-1)]).toEqual([other, 'moveVif xenbr1']);
    await at.call('VIF.unplug', card);
    await at.call('VIF.destroy', card);
    expect(at.store.committed.get('VIF', card)).toBeUndefined();
  });

  test('is locked to sound addresses only', async () => {
    const [at, vm] = await setUp();
    const [card] = at.store.committed.require('VM', vm).VIFs;
    await at.call('VIF.set_ipv4_allowed', card, ['192.0.2.7']);
    await at.call('VIF.add_ipv6_allowed', card, '2001:db8::7');
    for (const bad of ['192.0.2.256', '1.2.3', 'x']) {
      await expect(at.call('VIF.add_ipv4_allowed', card, bad)).rejects.toMatchObject({
        code: 'INVALID_IP_ADDRESS_SPECIFIED',
      });
    }
    expect(vif(at, card as Ref<'VIF'>).ipv4_allowed).toEqual(['192.0.2.7']);
    await at.call('VIF.set_ipv4_allowed', card, ['192.0.2.0/24']);
  });

  test('is locked and unlocked while it is plugged, and stays as it was where that cannot be done', async () => {
    const [at, vm] = await running();
    const [card] = at.store.committed.require('VM', vm).VIFs as [Ref<'VIF'>];
    await at.call('VIF.set_ipv4_allowed', card, ['192.0.2.7']);
    await at.call('VIF.set_locking_mode', card, 'locked');
    expect(hypervisor.calls.at(-1)).toBe('lockVif {"ipv4":["192.0.2.7"],"ipv6":[]}');
    await at.call('VIF.remove_ipv4_allowed', card, '192.0.2.7');
    expect(hypervisor.calls.at(-1)).toBe('lockVif {"ipv4":[],"ipv6":[]}');
    hypervisor.faults.set(
      'lockVif "Disabled"',
      new XenopsError('Not_supported', ['VIF.locking_mode', 'x', 'y']),
    );
    await expect(at.call('VIF.set_locking_mode', card, 'disabled')).rejects.toMatchObject({
      code: 'VALUE_NOT_SUPPORTED',
    });
    expect(vif(at, card).locking_mode).toBe('locked');
    await at.call('VIF.set_locking_mode', card, 'network_default');
    expect(hypervisor.calls.at(-1)).toBe('lockVif "Unlocked"');
  });
});

describe('Consoles', () => {
  test('are found by the reference or uuid of a console or of its VM', async () => {
    const [at, vm] = await running();
    const row = at.store.committed.require('VM', vm);
    const [screen, terminal] = row.consoles.map(
      (ref) => [ref, at.store.committed.require('console', ref)] as const,
    );
    const path = async (name: string): Promise<string> =>
      (await consoleEndpoint({ store: at.store, hypervisor }, name)).path;
    expect(await path(vm)).toBe(`/run/${row.uuid}.vnc`);
    expect(await path(row.uuid)).toBe(`/run/${row.uuid}.vnc`);
    expect(await path(screen?.[0] ?? '')).toBe(`/run/${row.uuid}.vnc`);
    expect(await path(terminal?.[1].uuid ?? '')).toBe(`/run/${row.uuid}.tty`);
    await expect(path('OpaqueRef:none')).rejects.toMatchObject({ code: 'HANDLE_INVALID' });
    await at.call('VM.hard_shutdown', vm);
    await expect(path(vm)).rejects.toMatchObject({ code: 'VM_BAD_POWER_STATE' });
  });
});
