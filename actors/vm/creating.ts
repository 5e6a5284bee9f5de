import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { destruct } from '../../src/objects/construct.ts';
import type { Handler } from '../../src/objects/implement.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { fieldsFor } from '../../src/rules/fates/fate.ts';
import { vmFates } from '../../src/rules/fates/vm.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { deleteDevices } from './copied-rows.ts';
import { raiseHardware } from './hardware.ts';

type VmRow = RecordNamed<'VM'>;
type Outside = Pick<Services, 'random'>;

/** Two numbers that no other VM has, for guests that watch whether time was turned back. */
export const freshGenerationId = ({ random }: Outside): string => {
  const number = (): bigint => new DataView(random.bytes(8).slice().buffer).getBigInt64(0);
  return `${number()}:${number()}`;
};

export const withSeed = (config: ReadonlyMap<string, string>, seed: string): ReadonlyMap<string, string> =>
  new Map([...config, ['mac_seed', config.get('mac_seed') ?? seed]]);

/** Of the two ways to say how a guest boots the newer one counts, where it says anything. */
const bootKind = (fields: Partial<VmRow>): Pick<VmRow, 'domain_type' | 'HVM_boot_policy'> => {
  const { HVM_boot_policy = '', domain_type = 'unspecified' } = fields;
  if (domain_type === 'unspecified') {
    return { HVM_boot_policy, domain_type: HVM_boot_policy === '' ? 'pv' : 'hvm' };
  }
  return { domain_type, HVM_boot_policy: domain_type === 'hvm' ? HVM_boot_policy || 'BIOS order' : '' };
};

/** A VM that was suspended elsewhere comes with its memory image; other than that, a new one is halted. */
const startingState = (tx: Tx, self: Ref<'VM'>, fields: Partial<VmRow>) => {
  const { suspend_VDI = nullRef as Ref<'VDI'>, last_booted_record = '', last_boot_CPU_flags } = fields;
  if (fields.power_state !== 'Suspended') {
    const none = {
      suspend_VDI: nullRef as Ref<'VDI'>,
      last_booted_record: '',
      last_boot_CPU_flags: new Map(),
    };
    return { ...none, power_state: 'Halted' } as const;
  }
  if (suspend_VDI === nullRef || last_booted_record === '' || !last_boot_CPU_flags?.size) {
    throw new Fault('VM_BAD_POWER_STATE', [self, 'halted', 'suspended']);
  }
  tx.require('VDI', suspend_VDI);
  return { power_state: 'Suspended', suspend_VDI, last_booted_record, last_boot_CPU_flags } as const;
};

/** When it was installed is not known, and what it runs as only of one that sleeps. */
const newMetrics = (tx: Tx, { random }: Outside, vm: Pick<VmRow, 'power_state' | 'domain_type'>) => {
  const metrics = newRef<'VM_metrics'>({ random });
  const sleeping = vm.power_state === 'Suspended' ? { current_domain_type: vm.domain_type } : {};
  tx.create('VM_metrics', metrics, { uuid: random.uuid(), ...sleeping });
  return metrics;
};

/** Memory, virtual CPUs and the like are looked at when it starts, as clients set them in any order. */
export const makeVm = (tx: Tx, services: Outside, fields: Partial<VmRow>): Ref<'VM'> => {
  const self = newRef<'VM'>(services);
  const state = { ...bootKind(fields), ...startingState(tx, self, fields) };
  const made = fieldsFor('VM', vmFates, 'create', fields, {
    ...state,
    uuid: services.random.uuid(),
    other_config: withSeed(fields.other_config ?? new Map(), services.random.uuid()),
    memory_target: fields.memory_target ?? fields.memory_dynamic_max ?? 0n,
    hardware_platform_version: fields.hardware_platform_version ?? 0n,
    domid: -1n,
    metrics: newMetrics(tx, services, state),
  });
  tx.create('VM', self, made);
  raiseHardware(tx, self);
  return self;
};

export const create: Handler<any, any, any> = {
  decide: ({ tx, services }, fields: Partial<VmRow>) => makeVm(tx, services, fields),
};

/** What continued from a VM that is deleted continues from what that one came from. */
export const deleteVm = (tx: Tx, self: Ref<'VM'>): void => {
  const vm = tx.require('VM', self);
  for (const child of vm.children) tx.patch('VM', child, { parent: vm.parent });
  deleteDevices(tx, vm);
  tx.delete('VM', self);
};

export const destroy: Handler<any, any, any> = {
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
