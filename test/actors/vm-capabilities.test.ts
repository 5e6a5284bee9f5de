// Goal: what a hypervisor cannot do is refused before anything is asked of it, and offered to nobody.
// Method: a scripted daemon that declares what it can do; what it is never asked for is looked at as well.

import { afterEach, describe, expect, test } from 'vitest';
import {
  assumedCapabilities,
  type Capabilities,
  capabilitiesFrom,
  capabilityNumbers,
} from '../../src/drivers/capabilities.ts';
import { nullRef } from '../../src/model/types.ts';
import { type Bench, bench, fakeHypervisor, vbdFields, vifFields } from './vm-bench.ts';

let made: Bench | undefined;
afterEach(() => made?.close());

const setUp = async (able: Partial<Capabilities>, fields: Record<string, unknown> = {}) => {
  const hypervisor = fakeHypervisor();
  const told = await hypervisor.query();
  hypervisor.query = async () => ({ ...told, capabilities: { ...assumedCapabilities, ...able } });
  const at = await bench(hypervisor);
  made = at;
  await at.reports.reconcile();
  const vm = await at.newVm(fields);
  const start = () => at.call('VM.start', vm, false, false);
  return { at, vm, hypervisor, start };
};

test('what a daemon declares is kept as numbers and read back as it was', () => {
  const able = { ...assumedCapabilities, uefi: false, vifPositions: 3 };
  expect(capabilitiesFrom(capabilityNumbers(able))).toEqual(able);
  expect(capabilitiesFrom(new Map())).toEqual(assumedCapabilities);
});

test('positions are offered as far as there are any', async () => {
  const { at, vm } = await setUp({ vifPositions: 2, vbdPositions: 5 });
  expect(await at.call('VM.get_allowed_VIF_devices', vm)).toEqual(['1']);
  expect(await at.call('VM.get_allowed_VBD_devices', vm)).toEqual(['1', '2', '4']);
});

describe('A VM does not start where', () => {
  for (const [why, able, fields, code] of [
    [
      'there is no UEFI firmware',
      { uefi: false },
      { HVM_boot_params: new Map([['firmware', 'uefi']]) },
      'VALUE_NOT_SUPPORTED',
    ],
    [
      'Secure Boot is not enforced',
      { secureBoot: false },
      { HVM_boot_params: new Map([['firmware', 'uefi']]), platform: new Map([['secureboot', 'true']]) },
      'VALUE_NOT_SUPPORTED',
    ],
    ['its firmware is none', {}, { HVM_boot_params: new Map([['firmware', 'open']]) }, 'INVALID_VALUE'],
    ['it has too little memory', { memoryBytesMin: 2 ** 31 }, {}, 'MEMORY_CONSTRAINT_VIOLATION'],
    ['it may have too many virtual CPUs', { vcpus: 1 }, {}, 'VALUE_NOT_SUPPORTED'],
    ['its drives are at positions that are not there', { vbdPositions: 1 }, {}, 'INVALID_DEVICE'],
    ['its cards are at positions that are not there', { vifPositions: 0 }, {}, 'INVALID_DEVICE'],
  ] as const) {
    test(why, async () => {
      const { at, vm, hypervisor, start } = await setUp(able, fields);
      await expect(start()).rejects.toMatchObject({ code });
      await expect(at.call('VM.assert_can_boot_here', vm, at.host)).rejects.toMatchObject({ code });
      expect(await at.call('VM.get_possible_hosts', vm)).toEqual([]);
      expect(hypervisor.calls).not.toContain('start');
    });
  }

  test('two of its drives share a position that only one can have', async () => {
    const { at, vm, start } = await setUp({ sharedPositions: false });
    await at.call(
      'VBD.create',
      vbdFields({ VM: vm, type: 'CD', mode: 'RO', empty: true, userdevice: 'sda' }),
    );
    await expect(start()).rejects.toMatchObject({ code: 'VM_DUPLICATE_VBD_DEVICE' });
  });
});

test('a device is not plugged at a position that is not there', async () => {
  const { at, vm, start, hypervisor } = await setUp({ vifPositions: 2 });
  await start();
  const card = await at.call('VIF.create', vifFields({ VM: vm, network: at.network, device: '9' }));
  expect(at.store.committed.require('VIF', card).allowed_operations).not.toContain('plug');
  await expect(at.call('VIF.plug', card)).rejects.toMatchObject({ code: 'INVALID_DEVICE', params: ['9'] });
  expect(hypervisor.calls).not.toContain('plugVif');
});

test('a CD drive that was added while the guest runs is filled and emptied without the guest', async () => {
  const { at, vm, start, hypervisor } = await setUp({});
  await start();
  const fields = { VM: vm, VDI: nullRef, type: 'CD', mode: 'RO', empty: true };
  const drive = await at.call('VBD.create', vbdFields(fields));
  const disk = at.store.committed.require('VBD', at.store.committed.require('VM', vm).VBDs[0] as never).VDI;
  await at.store.commit((tx) => tx.patch('VDI', disk, { sharable: true }));
  await at.call('VBD.insert', drive, disk);
  expect(at.store.committed.require('VBD', drive)).toMatchObject({ VDI: disk, empty: false });
  await at.call('VBD.eject', drive);
  expect(at.store.committed.require('VBD', drive)).toMatchObject({ VDI: nullRef, empty: true });
  expect(hypervisor.calls.filter((name) => /insert|eject/.test(name))).toEqual([]);
});
