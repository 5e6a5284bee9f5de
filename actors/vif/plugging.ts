import { type DeviceId, isMissing } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { Refusal } from '../../src/objects/refusal.ts';
import { vifForGuest, vifKey } from '../../src/rules/guest-devices.ts';
import { asked, unattendedWork, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import type { View } from '../../src/store/view.ts';

type Card = Working<'VIF'>;

const vmOf = ({ view, record }: Card): RecordNamed<'VM'> => view.require('VM', record.VM);
const idOf = (working: Card): DeviceId => [vmOf(working).uuid, vifKey(working.record)];

/** Makes the daemon forget a card; one that it does not know is forgotten already. */
const forget = async (working: Card, id: DeviceId): Promise<void> => {
  try {
    await working.services.hypervisor.removeVif(id);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
};

export const plug = async (working: Card): Promise<void> => {
  const { self, view, services } = working;
  const id = idOf(working);
  const vif = vifForGuest(view, working.record, vmOf(working));
  working.undo(() => forget(working, id));
  await asked('VIF.plug', services.hypervisor.addVif(vif));
  await asked('VIF.plug', services.hypervisor.plugVif(id, xenopsWork(working, 'VIF.plug')));
  working.settle((tx) => tx.patch('VIF', self, { currently_attached: true }));
};

export const unplug = async (working: Card, force: boolean): Promise<void> => {
  const method = force ? 'VIF.unplug_force' : 'VIF.unplug';
  const id = idOf(working);
  const { hypervisor } = working.services;
  await asked(method, hypervisor.unplugVif(id, force, xenopsWork(working, method)));
  await forget(working, id);
  working.settle((tx) => tx.patch('VIF', working.self, { currently_attached: false }));
};

/** A plugged card stays plugged; of any other only the row changes. */
export const move = async (working: Card, network: Ref<'network'>): Promise<void> => {
  const { self, view, services } = working;
  const { bridge } = view.require('network', network);
  if (working.record.currently_attached && vmOf(working).power_state === 'Running') {
    const { hypervisor } = services;
    const id = idOf(working);
    const before = view.require('network', working.record.network).bridge;
    working.undo(() => hypervisor.moveVif(id, before, unattendedWork('VIF.move')));
    await asked('VIF.move', hypervisor.moveVif(id, bridge, xenopsWork(working, 'VIF.move')));
  }
  working.settle((tx) => tx.patch('VIF', self, { network }));
};

/** Force needs nothing of the guest, but there must be something to unplug. */
export const forceRefusal = (view: View, self: Ref<'VIF'>): Refusal | undefined => {
  const vif = view.get('VIF', self);
  if (vif === undefined) return ['HANDLE_INVALID', 'VIF', self];
  const state = view.get('VM', vif.VM)?.power_state;
  if (state !== 'Running')
    return ['VM_BAD_POWER_STATE', vif.VM, 'running', (state ?? 'halted').toLowerCase()];
  return vif.currently_attached ? undefined : ['DEVICE_ALREADY_DETACHED', self];
};
