import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { destruct } from '../../src/objects/construct.ts';
import type { Working } from '../../src/objects/implement.ts';
import { demand } from '../../src/objects/refusal.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { vmRefusal } from './admission.ts';
import { copyDisks, copyVbds, copyVifs } from './copying.ts';
import { deleteDevices, freshGenerationId } from './creating.ts';
import { becomeHalted } from './halting.ts';
import type { VmHandlers } from './handlers.ts';

type VmRow = RecordNamed<'VM'>;

/** What reverting turns back: how the VM is made and how it boots. What it is called and where it belongs stays. */
const turnedBack = [
  'user_version',
  'memory_static_min',
  'memory_dynamic_min',
  'memory_target',
  'memory_dynamic_max',
  'memory_static_max',
  'VCPUs_params',
  'VCPUs_max',
  'VCPUs_at_startup',
  'actions_after_softreboot',
  'actions_after_shutdown',
  'actions_after_reboot',
  'actions_after_crash',
  'PV_bootloader',
  'PV_kernel',
  'PV_ramdisk',
  'PV_args',
  'PV_bootloader_args',
  'PV_legacy_args',
  'HVM_boot_policy',
  'HVM_boot_params',
  'HVM_shadow_multiplier',
  'platform',
  'recommendations',
  'xenstore_data',
  'bios_strings',
  'hardware_platform_version',
  'has_vendor_device',
  'domain_type',
  'NVRAM',
  'other_config',
] as const satisfies readonly (keyof VmRow)[];

const pick = (snapshot: VmRow): Partial<VmRow> =>
  Object.fromEntries(turnedBack.map((field) => [field, snapshot[field]]));

/** Keeps others off the VM that is reverted: from its rows it is busy, and whoever asks for it waits. */
const hold = async (working: Working<'VM'>, vm: Ref<'VM'>): Promise<void> => {
  const key = working.task === nullRef ? `DummyRef:|reverting ${working.self}|` : working.task;
  const without = (tx: Tx): void => {
    const row = tx.get('VM', vm);
    if (row === undefined) return;
    const others = [...row.current_operations].filter(([one]) => one !== key);
    tx.patch('VM', vm, { current_operations: new Map(others) });
  };
  const held = working.commit((tx) => {
    demand(vmRefusal(tx, vm, 'reverting'));
    const { current_operations } = tx.require('VM', vm);
    tx.patch('VM', vm, { current_operations: new Map([...current_operations, [key, 'reverting']]) });
  });
  working.undo(() => working.commit(without));
  working.settle(without);
  await held;
};

/** The disks that nobody needs any more; one that cannot be destroyed is left to be cleaned up by hand. */
const dropDisks = async (working: Working<'VM'>, disks: readonly Ref<'VDI'>[]): Promise<void> => {
  for (const vdi of disks) {
    try {
      await destruct(working, 'VDI', vdi);
    } catch (error) {
      working.services.log.warn({ error, vdi }, 'A disk from before a revert could not be destroyed');
    }
  }
};

const disksOf = (tx: Tx, vm: VmRow): readonly Ref<'VDI'>[] =>
  vm.VBDs.flatMap((ref) => {
    const vbd = tx.get('VBD', ref);
    return vbd !== undefined && vbd.type === 'Disk' && !vbd.empty ? [vbd.VDI] : [];
  });

const turnBack = (
  tx: Tx,
  working: Working<'VM'>,
  vm: Ref<'VM'>,
  disks: ReadonlyMap<Ref<'VBD'>, Ref<'VDI'>>,
): void => {
  const snapshot = tx.require('VM', working.self);
  const { services } = working;
  deleteDevices(tx, tx.require('VM', vm));
  becomeHalted(tx, vm);
  const generation_id = snapshot.generation_id === '' ? '' : freshGenerationId(services);
  tx.patch('VM', vm, {
    ...pick(snapshot),
    generation_id,
    suspend_VDI: nullRef as Ref<'VDI'>,
    parent: working.self,
  });
  copyVbds(tx, services, { vm: snapshot, disks }, vm);
  copyVifs(tx, services, snapshot, vm, true);
};

const revert = async (working: Working<'VM'>): Promise<void> => {
  const { self, view, call } = working;
  const snapshot = working.record;
  const vm = snapshot.snapshot_of;
  if (view.get('VM', vm) === undefined) throw new Fault('VM_REVERT_FAILED', [vm, self]);
  if (view.require('VM', vm).power_state !== 'Halted') await call('VM.hard_shutdown', vm, {});
  await hold(working, vm);
  const disks = await copyDisks(working, snapshot, (vdi) =>
    call('VDI.clone', vdi, { driver_params: new Map() }),
  );
  working.signal.throwIfAborted();
  const old = await working.commit((tx) => {
    const before = disksOf(tx, tx.require('VM', vm));
    turnBack(tx, working, vm, disks);
    return before;
  });
  await dropDisks(working, old);
};

export const reverting = { revert: { operation: 'revert', work: revert } } satisfies VmHandlers;
