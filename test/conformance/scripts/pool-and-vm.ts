import { bondMac } from '../../../actors/bond/mac.ts';
import { applianceRefusal } from '../../../actors/vm_appliance/admission.ts';
import type { Ref } from '../../../src/model/types.ts';
import { type Adapter, against, byName, mapOf, skip } from '../subject.ts';
import { viewOfRows, withRefs } from '../vm-rows.ts';
import { live, putVm } from './live.ts';

const appliance = 'OpaqueRef:appliance' as Ref<'VM_appliance'>;

const applianceOperation: Adapter = ({ given, when, then }) => {
  const states: readonly string[] = given['VM power states'] ?? ['Halted', 'Running'];
  const vms = states.map((power_state, i) => [`OpaqueRef:vm${i}`, { power_state }] as const);
  const view = viewOfRows({
    VM: Object.fromEntries(vms),
    VM_appliance: {
      [appliance]: {
        VMs: vms.map(([ref]) => ref),
        current_operations: mapOf(given['VM_appliance.current_operations']),
      },
    },
  });
  const refusal = applianceRefusal(view, appliance, when['operation']);
  const found = refusal === undefined ? { allowed: true } : { allowed: false, error: refusal };
  return against(found, withRefs(then));
};

const nvram: Adapter = live(async (here, { given, when, then }) => {
  await here.rows((tx) => {
    putVm(tx, '<vm>', { power_state: given['VM.power_state'], NVRAM: mapOf(given['VM.NVRAM']) });
  });
  const value = typeof when['value'] === 'string' ? when['value'] : mapOf(when['value']);
  const answer: any = await here.tried(when['call'], '<vm>', value as never);
  const { NVRAM } = here.host.world.store.committed.require('VM', '<vm>' as Ref<'VM'>);
  const error = answer?.error === undefined ? {} : { error: answer.error };
  return against({ ...error, 'VM.NVRAM': Object.fromEntries(NVRAM) }, then);
});

const scripts: Readonly<Record<string, Adapter>> = {
  'VM.set_groups puts VMs in a group': live(async (here, { given }) => {
    const vms = Array.from({ length: given['VMs'] }, (_, i) => `vm${i}`);
    await here.rows((tx) => {
      tx.create('VM_group', 'group' as Ref<'VM_group'>, { uuid: 'group' });
      for (const vm of vms) putVm(tx, vm);
    });
    for (const vm of vms) await here.host.call('VM.set_groups', here.root, vm, ['group']);
    const { VMs } = here.host.world.store.committed.require('VM_group', 'group' as Ref<'VM_group'>);
    return against(VMs.toSorted(), vms);
  }),
  'a VM is in at most one group': live(async (here, { then }) => {
    await here.rows((tx) => void putVm(tx, 'vm'));
    return against(await here.tried('VM.set_groups', 'vm', ['group1', 'group2']), then);
  }),
  'VM.set_NVRAM on a running VM': nvram,
  'VM.set_NVRAM_EFI_variables on a running VM': nvram,
  'agility: bare VM': live(async (here) => {
    await here.rows((tx) => void putVm(tx, 'vm'));
    const answer: any = await here.tried('VM.assert_agile', 'vm');
    return against(answer?.error, undefined);
  }),
  'agility: VM with a vGPU': live(async (here) => {
    await here.rows((tx) => {
      tx.create('VGPU', 'vgpu' as Ref<'VGPU'>, { uuid: 'vgpu', VM: putVm(tx, 'vm') });
    });
    return against(await here.tried('VM.assert_agile', 'vm'), { error: ['VM_HAS_VGPU', 'vm'] });
  }),
};

/** Appliances are data, everything else is prose. */
export const vmAndPool: Adapter = (one) =>
  one.name.startsWith('VM_appliance.') ? applianceOperation(one) : byName(scripts)(one);

export const bondMacs: Adapter = ({ given }) => ({
  'bond master PIF MAC': bondMac(
    { auto_update_mac: given['Bond.auto_update_mac'] ?? skip('it does not say whether the address follows') },
    given['bond master PIF MAC'],
    given['primary slave MAC'],
  ),
});
