import { wireFields } from '../../src/model/derive.ts';
import type { Ref } from '../../src/model/types.ts';
import { demand } from '../../src/objects/refusal.ts';
import { deviceNumberOf } from '../../src/rules/device-numbers.ts';
import { drivePositions, mostPositions } from '../../src/rules/guest-capabilities.ts';
import { isHvm } from '../../src/rules/guest-devices.ts';
import { assertFits } from '../../src/rules/placement/choice.ts';
import { hostRefusals } from '../../src/rules/placement/fitness.ts';
import { Fault } from '../../src/std/fault.ts';
import { own } from '../../src/std/own.ts';
import type { Value } from '../../src/std/value.ts';
import { vmRefusal } from './admission.ts';
import { VM } from './class.ts';
import type { VmHandlers } from './handlers.ts';

const free = (count: number, taken: readonly (number | undefined)[]): readonly string[] =>
  Array.from({ length: count }, (_, i) => i)
    .filter((i) => !taken.includes(i))
    .map(String);

const vm = (self: Ref): Ref<'VM'> => self as Ref<'VM'>;

export const queries = {
  get_allowed_VBD_devices: {
    read: ({ view, self }) => {
      const row = view.require('VM', vm(self));
      const taken = row.VBDs.map(
        (ref) => deviceNumberOf(view.get('VBD', ref)?.userdevice ?? '', isHvm(row))?.disk,
      );
      return free(drivePositions(view, row), taken);
    },
  },
  get_allowed_VIF_devices: {
    read: ({ view, self }) => {
      const taken = view.require('VM', vm(self)).VIFs.map((ref) => Number(view.get('VIF', ref)?.device));
      return free(mostPositions(view, 'vifPositions'), taken);
    },
  },
  get_possible_hosts: {
    read: ({ view, self }) => {
      const refusalOf = hostRefusals(view, vm(self));
      return [...view.all('host')].map(([host]) => host).filter((host) => refusalOf(host) === undefined);
    },
  },
  assert_can_boot_here: { read: ({ view, self }, { host }) => assertFits(view, vm(self), host) },
  assert_operation_valid: { read: ({ view, self }, { op }) => demand(vmRefusal(view, vm(self), op)) },
  update_allowed_operations: {
    // They follow from every commit by themselves; whoever asks for it waits for the event.
    decide: ({ tx, self }) => tx.touch('VM', vm(self)),
  },
  get_boot_record: {
    read: ({ view, self }) => {
      const row = view.require('VM', vm(self)) as unknown as Readonly<Record<string, Value>>;
      return new Map(wireFields(VM).map(([name]) => [name, own(row, name) ?? null]));
    },
  },
  assert_agile: {
    read: ({ view, self }) => {
      const row = view.require('VM', vm(self));
      // A virtual GPU is cut from a card that sits in one host.
      if (row.VGPUs.length > 0) throw new Fault('VM_HAS_VGPU', [self]);
      for (const ref of row.VBDs) {
        const vbd = view.require('VBD', ref);
        const sr = vbd.empty ? undefined : view.require('VDI', vbd.VDI).SR;
        if (sr !== undefined && !view.require('SR', sr).shared)
          throw new Fault('HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED', [sr]);
      }
    },
  },
} satisfies VmHandlers;
