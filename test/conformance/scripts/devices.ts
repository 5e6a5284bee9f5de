import { assumedCapabilities } from '../../../src/drivers/capabilities.ts';
import { nullRef, type Ref } from '../../../src/model/types.ts';
import { deviceNumberOf, linuxDevice, xenstoreKey } from '../../../src/rules/device-numbers.ts';
import type { Value } from '../../../src/std/value.ts';
import { vbdFields, vifFields } from '../../actors/vm-bench.ts';
import type { Case } from '../cases.ts';
import { skip } from '../subject.ts';
import { inLab, type Lab } from './lab.ts';

/** Where devices of a guest may sit, and what they are called there, as clients see it. */
const newCard = async (lab: Lab, VM: Ref<'VM'>, device: string): Promise<any> => {
  const [network = nullRef] = (await lab.ask('network.get_all')) as string[];
  return lab.ask('VIF.create', vifFields({ VM, network, device }) as Value);
};

export const vifDevices = inLab(async (lab, { when }) => {
  const made = await newCard(lab, await lab.newVm(), when['device']);
  if (made.error === undefined) return { valid: (await lab.ask('VIF.get_device', made)) === when['device'] };
  return made.error[0] === 'INVALID_DEVICE' ? { valid: false } : made;
});

export const macs = inLab(async (lab, { given, when }) => {
  const vm = await lab.newVm();
  await lab.ask('VM.set_other_config', vm, new Map(Object.entries<string>(given['VM.other_config'])));
  const made = await newCard(lab, vm, String(when['device']));
  return { 'VIF.MAC': await lab.ask('VIF.get_MAC', made) };
});

/** How guests boot from what they are given, with emulated hardware and without. */
const boots = {
  hvm: { domain_type: 'hvm', HVM_boot_policy: 'BIOS order' },
  pv: { domain_type: 'pv', HVM_boot_policy: '', PV_bootloader: 'pygrub' },
};

/** No guest of any daemon has more drives: who asks for a place beyond is refused when it starts. */
const positionsMax = assumedCapabilities.vbdPositions;

/**
 * An empty CD drive of a guest that is then started: its name is in the row, and its number is told to the
 * daemon. The key in xenstore is made by the daemons of Xen hosts, so it is asked of the rule.
 */
const inDrive = async (lab: Lab, { when }: Case): Promise<unknown> => {
  const { userdevice, hvm } = when;
  const VM = await lab.newVm(hvm ? boots.hvm : boots.pv);
  const drive = { VM, userdevice, type: 'CD', mode: 'RO', empty: true };
  const vbd = await lab.ask('VBD.create', vbdFields(drive) as Value);
  if (vbd.error !== undefined) return vbd.error[0] === 'INVALID_DEVICE' ? { rejected: true } : vbd;
  // The word for any position stands for none of them.
  if ((await lab.ask('VBD.get_userdevice', vbd)) !== userdevice) return { rejected: true };
  const number = deviceNumberOf(userdevice, hvm);
  if (number === undefined) return { 'no number': userdevice };
  const key = { 'xenstore key': xenstoreKey(number) };
  const started = await lab.ask('VM.start', VM, false, false);
  if (started?.error?.[0] === 'INVALID_DEVICE' && number.disk >= positionsMax) {
    return { 'linux device': linuxDevice(number), ...key, 'disk number': number.disk };
  }
  if (started?.error !== undefined) return started;
  const { vbds } = await lab.told(VM);
  const device = await lab.ask('VBD.get_device', vbd);
  return { 'linux device': device, ...key, 'disk number': vbds[0]?.position };
};

export const deviceNumbers = inLab((lab, one) =>
  one.then['disk number'] < 0
    ? skip('differs on purpose: a name without a letter is no disk')
    : inDrive(lab, one),
);
