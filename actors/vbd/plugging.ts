import { type DeviceId, isMissing } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { demand } from '../../src/objects/refusal.ts';
import { sharingRefusal } from '../../src/rules/disk-sharing.ts';
import { vbdForGuest, vbdKey, xenopsDisk } from '../../src/rules/guest-devices.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { Fault } from '../../src/std/fault.ts';
import { closeInHost, openInHost } from './in-host.ts';

type Drive = Working<'VBD'>;

const vmOf = ({ view, record }: Drive): RecordNamed<'VM'> => view.require('VM', record.VM);
const isLive = (vm: RecordNamed<'VM'>): boolean =>
  vm.power_state === 'Running' || vm.power_state === 'Paused';
const idOf = (working: Drive): DeviceId => {
  const vm = vmOf(working);
  return [vm.uuid, vbdKey(working.record, vm)];
};

/** Makes the daemon forget a drive; one that it does not know is forgotten already. */
const forget = async (working: Drive, id: DeviceId): Promise<void> => {
  try {
    await working.services.hypervisor.removeVbd(id);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
};

/** A drive of a control domain is the host's own: no hypervisor knows it. */
const isOfHost = (working: Drive): boolean => vmOf(working).is_control_domain;

/** Rows first, in one step with the look at who shares the disk; then the daemon. */
export const plug = async (working: Drive): Promise<void> => {
  const { self, view, services } = working;
  const id = idOf(working);
  const { device } = working.record;
  const claimed = working.commit((tx) => {
    demand(sharingRefusal(tx, self, tx.require('VBD', self)));
    tx.patch('VBD', self, { currently_attached: true, device: id[1] });
  });
  working.undo(() => working.commit((tx) => tx.patch('VBD', self, { currently_attached: false, device })));
  await claimed;
  if (isOfHost(working)) return openInHost(working, working.record.VDI);
  const vbd = vbdForGuest(view, working.record, vmOf(working));
  working.undo(() => forget(working, id));
  await asked('VBD.plug', services.hypervisor.addVbd(vbd));
  await asked('VBD.plug', services.hypervisor.plugVbd(id, xenopsWork(working, 'VBD.plug')));
};

export const unplug = async (working: Drive, force: boolean): Promise<void> => {
  const method = force ? 'VBD.unplug_force' : 'VBD.unplug';
  const id = idOf(working);
  const { hypervisor } = working.services;
  if (isOfHost(working)) await closeInHost(working);
  else {
    await asked(method, hypervisor.unplugVbd(id, force, xenopsWork(working, method)));
    await forget(working, id);
  }
  working.settle((tx) => tx.patch('VBD', working.self, { currently_attached: false, reserved: false }));
};

/** A drive that was added while the guest runs is in its row only, until it is plugged or the next start. */
const isInGuest = (working: Drive): boolean =>
  isLive(vmOf(working)) && (working.record.currently_attached || working.record.reserved);

/** Into the row, where the next boot finds it; into the guest as well, if the drive is in one. */
export const insert = async (working: Drive, vdi: Ref<'VDI'>): Promise<void> => {
  const { self, view, services } = working;
  const { managed } = view.require('VDI', vdi);
  if (!managed) throw new Fault('VDI_NOT_MANAGED', [vdi]);
  demand(sharingRefusal(view, self, { ...working.record, VDI: vdi }));
  if (isInGuest(working) && isOfHost(working)) await openInHost(working, vdi);
  else if (isInGuest(working)) {
    const how = xenopsWork(working, 'VBD.insert');
    await asked('VBD.insert', services.hypervisor.insertVbd(idOf(working), xenopsDisk(view, vdi), how));
  }
  working.settle((tx) => {
    demand(sharingRefusal(tx, self, { ...tx.require('VBD', self), VDI: vdi }));
    tx.patch('VBD', self, { VDI: vdi, empty: false });
  });
};

export const eject = async (working: Drive): Promise<void> => {
  const { self, services } = working;
  if (isInGuest(working) && isOfHost(working)) await closeInHost(working);
  else if (isInGuest(working)) {
    const how = xenopsWork(working, 'VBD.eject');
    await asked('VBD.eject', services.hypervisor.ejectVbd(idOf(working), how));
  }
  working.settle((tx) => tx.patch('VBD', self, { VDI: nullRef as Ref<'VDI'>, empty: true }));
};
