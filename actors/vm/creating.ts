import type { RecordNamed } from '../../src/model/class.ts';
import { dateTimeOf, nullRef, type Ref } from '../../src/model/types.ts';
import { destruct } from '../../src/objects/construct.ts';
import type { AnyHandler } from '../../src/objects/implement.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { raiseHardware } from './hardware.ts';

type VmRow = RecordNamed<'VM'>;
type Outside = Pick<Services, 'random' | 'clock'>;

/** Two numbers that no other VM has, for guests that watch whether time was turned back. */
export const freshGenerationId = ({ random }: Outside): string => {
  const number = (): bigint => new DataView(random.bytes(8).slice().buffer).getBigInt64(0);
  return `${number()}:${number()}`;
};

/** Makes the row of a VM and that of its figures. */
export const createVm = (tx: Tx, services: Outside, self: Ref<'VM'>, fields: Partial<VmRow>): void => {
  const metrics = newRef<'VM_metrics'>(services);
  tx.create('VM_metrics', metrics, {
    uuid: services.random.uuid(),
    install_time: dateTimeOf(services.clock.now()),
  });
  tx.create('VM', self, {
    ...fields,
    uuid: services.random.uuid(),
    metrics,
    guest_metrics: nullRef as Ref<'VM_guest_metrics'>,
    domid: -1n,
  });
};

export const withSeed = (config: ReadonlyMap<string, string>, seed: string): ReadonlyMap<string, string> =>
  new Map([...config, ['mac_seed', config.get('mac_seed') ?? seed]]);

/** Of the two ways to say how a guest boots the newer one counts, where it says anything. */
const bootKind = (fields: Partial<VmRow>): Partial<VmRow> => {
  const policy = fields.HVM_boot_policy ?? '';
  const type = fields.domain_type ?? 'unspecified';
  if (type === 'unspecified') return { domain_type: policy === '' ? 'pv' : 'hvm' };
  return { HVM_boot_policy: type === 'hvm' ? policy || 'BIOS order' : '' };
};

/** A VM that was suspended elsewhere comes with its memory image; other than that, a new one is halted. */
const startingState = (tx: Tx, fields: Partial<VmRow>): Partial<VmRow> => {
  const wanted = fields.power_state ?? 'Halted';
  if (wanted === 'Halted') return { suspend_VDI: nullRef as Ref<'VDI'> };
  if (wanted !== 'Suspended') throw new Fault('INVALID_VALUE', ['power_state', wanted]);
  tx.require('VDI', fields.suspend_VDI ?? (nullRef as Ref<'VDI'>));
  return {};
};

/** Memory, virtual CPUs and the like are looked at when it starts, as clients set them in any order. */
export const create: AnyHandler = {
  decide: ({ tx, services }, fields: Partial<VmRow>) => {
    const made = {
      ...fields,
      ...bootKind(fields),
      ...startingState(tx, fields),
      other_config: withSeed(fields.other_config ?? new Map(), services.random.uuid()),
      memory_target: fields.memory_target ?? fields.memory_dynamic_max ?? 0n,
    };
    const self = newRef<'VM'>(services);
    createVm(tx, services, self, made);
    raiseHardware(tx, self);
    return self;
  },
};

/** Deletes the rows of a VM's devices, which are nothing without it. Its disks are left. */
export const deleteDevices = (tx: Tx, vm: VmRow): void => {
  for (const ref of vm.VBDs) tx.delete('VBD', ref);
  for (const ref of vm.VIFs) tx.delete('VIF', ref);
  for (const ref of vm.consoles) tx.delete('console', ref);
};

/** What continued from a VM that is deleted continues from what that one came from. */
const deleteVm = (tx: Tx, self: Ref<'VM'>): void => {
  const vm = tx.require('VM', self);
  for (const child of vm.children) tx.patch('VM', child, { parent: vm.parent });
  deleteDevices(tx, vm);
  tx.delete('VM', self);
};

export const destroy: AnyHandler = {
  operation: 'destroy',
  work: async (working) => {
    const { self, view, services, settle } = working;
    const vm = view.require('VM', self as Ref<'VM'>);
    if (vm.power_state === 'Suspended') {
      await destruct(working, 'VDI', vm.suspend_VDI);
      await services.hypervisor.remove(vm.uuid).catch((error: unknown) => {
        services.log.debug({ error, vm: self }, 'A suspended VM was not removed from the hypervisor');
      });
    }
    settle((tx: Tx) => deleteVm(tx, self as Ref<'VM'>));
  },
};
