// Devices that come and go while the guest runs. To give a device up is the guest's decision; by force
// its backend is taken away, and the dead device stays until the guest lets go or ends.

import type { DeviceId, Vif } from '../../../drivers/hypervisor/hypervisor.ts';
import { type Allowed, isAllowed, said } from '../../../std/allowed.ts';
import { membersOf } from '../../../std/reader.ts';
import type { GuestDisk } from '../backend.ts';
import { notReleased, notSupported } from '../refusal.ts';
import {
  blockNode,
  bridge,
  cardArguments,
  controller,
  type Device,
  deadNode,
  driveArguments,
  fixtureArguments,
  type NodeName,
  netdevOf,
  queuesOf,
  vbdDevice,
  vifDevice,
} from './devices.ts';
import { takeBack } from './guest-users.ts';
import { addStorage, closeInherited, dropImages, type Stored, unlessAbsent } from './images.ts';
import { note, type QemuGuest, type QemuHost } from './live.ts';
import { byKey } from './machine.ts';
import { nextEvent, type Qmp, QmpFailure } from './qmp.ts';
import {
  assertLockable,
  connectTap,
  hasLink,
  makeTap,
  moveTap,
  removeTaps,
  tapName,
  wireFor,
} from './wiring.ts';

/** How long a guest may take to give a device up that is going to be taken from it otherwise. */
const FORCED_RELEASE_MS_MAX = 500;

export const plugVbd = async (host: QemuHost, guest: QemuGuest, disk: GuestDisk): Promise<void> => {
  const { vbd, path } = disk;
  if (path === undefined && vbd.ty !== 'CDROM') throw new Error(`disk ${vbd.id[1]} has no storage`);
  const device = vbdDevice(vbd);
  const qmp = guest.link.qmp();
  if (device.bus === 'scsi') await addController(host, guest);
  await register(host, guest, device);
  try {
    const node = path === undefined ? undefined : device.id;
    if (path !== undefined) await addNode(host, guest, device.id, { ...disk, path });
    try {
      await qmp.execute('device_add', driveArguments(device, node, queuesIn(guest)));
    } catch (error) {
      if (node !== undefined) await qmp.execute('blockdev-del', said({ 'node-name': node }));
      throw error;
    }
  } catch (error) {
    await forget(host, guest, device);
    throw error;
  }
};

const queuesIn = ({ record }: QemuGuest): number | undefined =>
  queuesOf(record.devices, record.vcpusMax ?? 1);

export const unplugVbd = async (
  host: QemuHost,
  guest: QemuGuest,
  id: DeviceId,
  force: boolean,
): Promise<void> => {
  const device = byKey(guest.record.devices, 'vbd', id[1]);
  if (device.bus === 'ide')
    throw notReleased(
      'VBD',
      device.key,
      'it sits on IDE, where nothing can be unplugged while the guest runs',
    );
  const qmp = guest.link.qmp();
  if (await isReleased(host, qmp, device, force)) return discard(host, guest, device);
  if (!force) throw refused(host, device);
  await takeStorage(qmp, device);
  await closeInherited(host, guest, device);
  await markDead(host, guest, device);
};

/** The bus of disks beyond those that sit on PCI comes with the first of them, and stays. */
const addController = async (host: QemuHost, guest: QemuGuest): Promise<void> => {
  if (guest.record.devices.some(({ id }) => id === controller.id)) return;
  await register(host, guest, controller);
  try {
    await guest.link.qmp().execute('device_add', fixtureArguments(controller, queuesIn(guest)));
  } catch (error) {
    await forget(host, guest, controller);
    throw error;
  }
};

/** A guest that an earlier version started has no bridge. */
const assertBus = (guest: QemuGuest, { bus, key }: Device): void => {
  if (bus !== 'bridge' || guest.record.devices.some(({ id }) => id === bridge.id)) return;
  throw notSupported('VIF.device', key, 'the guest has this position only from its next start on');
};

export const plugVif = async (host: QemuHost, guest: QemuGuest, vif: Vif): Promise<void> => {
  const device = vifDevice(vif);
  assertBus(guest, device);
  const qmp = guest.link.qmp();
  const { userNetwork } = await host.emulator();
  const { domid, flavour, bootsFromNetwork } = guest.record;
  const card = cardArguments(device, vif, flavour, bootsFromNetwork);
  const wire = await wireFor(host.disk, device, vif, domid, userNetwork);
  await register(host, guest, device);
  try {
    if (guest.record.user) await makeTap(host.disk, host.processes, wire, guest.record.user);
    await qmp.execute('netdev_add', wire.netdev);
    try {
      await connectTap(host.processes, wire);
      await qmp.execute('device_add', card);
    } catch (error) {
      await qmp.execute('netdev_del', said({ id: netdevOf(device) }));
      throw error;
    }
  } catch (error) {
    await forget(host, guest, device);
    throw error;
  }
  if (!hasLink(vif)) await qmp.execute('set_link', said({ name: device.id, up: false }));
};

/** What the guest sees of its cable; a card that may send from some addresses only is not enforced here. */
export const lockVif = async ({ disk }: QemuHost, guest: QemuGuest, vif: Vif): Promise<void> => {
  const device = byKey(guest.record.devices, 'vif', vif.id[1]);
  await assertLockable(disk, device, vif);
  await guest.link.qmp().execute('set_link', said({ name: device.id, up: hasLink(vif) }));
};

/** Its TAP device goes to another bridge; one that reaches nothing stays where it is. */
export const moveVif = async (
  host: QemuHost,
  guest: QemuGuest,
  vif: Vif,
  bridgeName: string,
): Promise<void> => {
  const { domid } = guest.record;
  await moveTap(host, tapName(domid, vif), bridgeName);
};

export const unplugVif = async (
  host: QemuHost,
  guest: QemuGuest,
  id: DeviceId,
  force: boolean,
): Promise<void> => {
  const device = byKey(guest.record.devices, 'vif', id[1]);
  const qmp = guest.link.qmp();
  if (await isReleased(host, qmp, device, force)) return discard(host, guest, device);
  if (!force) throw refused(host, device);
  await dropBackend(qmp, device);
  await markDead(host, guest, device);
};

/** Gives the emulator a disk that it was not started with. */
const addNode = (host: QemuHost, guest: QemuGuest, node: NodeName, disk: Stored): Promise<void> =>
  addStorage(host, guest, node, disk, (named) => blockNode(node, disk, named));

/** Puts a medium into a CD drive or takes it out. A new medium is opened before the old one leaves. */
export const changeMedium = async (
  host: QemuHost,
  guest: QemuGuest,
  id: DeviceId,
  disk: GuestDisk | undefined,
): Promise<void> => {
  const drive = byKey(guest.record.devices, 'vbd', id[1]);
  if (drive.kind !== 'cd') throw new Error(`${drive.key} is not a CD drive`);
  const qmp = guest.link.qmp();
  const old = await mediumOf(qmp, drive);
  const number = guest.record.lastMedium + 1;
  const node = `${drive.id}-medium${number}` as const;
  if (disk) {
    if (disk.path === undefined) throw new Error(`there is no medium to insert into ${drive.key}`);
    await note(host, guest, { lastMedium: number });
    await addNode(host, guest, node, { ...disk, path: disk.path });
  }
  // Forced, because the guest may have locked its tray, and whoever asks holds the host's button.
  await qmp.execute('blockdev-open-tray', said({ id: drive.id, force: true }));
  await qmp.execute('blockdev-remove-medium', said({ id: drive.id }));
  if (old !== undefined) await qmp.execute('blockdev-del', said({ 'node-name': old }));
  await closeInherited(host, guest, drive);
  if (disk) await qmp.execute('blockdev-insert-medium', said({ id: drive.id, 'node-name': node }));
  await qmp.execute('blockdev-close-tray', said({ id: drive.id }));
};

/** The emulator is asked, because it alone knows after a change that was cut short. */
const mediumOf = async (qmp: Qmp, drive: Device): Promise<Allowed | undefined> => {
  const drives = await qmp.execute('query-block');
  const found = (Array.isArray(drives) ? drives : [])
    .map(membersOf)
    .find((one) => String(one['qdev']).split('/').includes(drive.id));
  const node = membersOf(found?.['inserted'])['node-name'];
  return typeof node === 'string' && isAllowed('text', node) ? node : undefined;
};

/** Notes the device before it exists, so that a daemon that dies in between can still unplug it. */
const register = async (host: QemuHost, guest: QemuGuest, device: Device): Promise<void> => {
  const there = guest.record.devices.find((one) => one.id === device.id);
  if (there && !there.isDead) {
    const setting = device.kind === 'vif' ? 'VIF.device' : 'VBD.userdevice';
    throw notSupported(setting, device.key, `the position is taken by ${there.key}`);
  }
  if (there) {
    if (!(await isReleased(host, guest.link.qmp(), there, true))) throw refused(host, there);
    await discard(host, guest, there);
  }
  await note(host, guest, { devices: [...guest.record.devices, device] });
};

const forget = (host: QemuHost, guest: QemuGuest, device: Device): Promise<void> =>
  note(host, guest, { devices: guest.record.devices.filter((one) => one.id !== device.id) });

const markDead = async (host: QemuHost, guest: QemuGuest, device: Device): Promise<void> => {
  host.log.warn(
    { vm: guest.record.vm, device: device.key },
    'the device was taken from a guest that still uses it',
  );
  const devices = guest.record.devices.map((one) => (one.id === device.id ? { ...one, isDead: true } : one));
  await note(host, guest, { devices });
};

/** Asks the guest to give the device up; true once it has, now or since it was asked before. */
const isReleased = async (host: QemuHost, qmp: Qmp, device: Device, force: boolean): Promise<boolean> => {
  const waitMs = force ? FORCED_RELEASE_MS_MAX : host.releaseMsMax;
  const deleted = nextEvent(
    qmp,
    host.clock,
    (event) => event.name === 'DEVICE_DELETED' && event.data['device'] === device.id,
    waitMs,
  );
  try {
    await qmp.execute('device_del', said({ id: device.id }));
    return (await deleted.arrived) !== undefined;
  } catch (error) {
    if (!(error instanceof QmpFailure)) throw error;
    if (error.reason === 'absent') return true;
    // It was asked before and is still thinking about it.
    if (error.reason === 'refused') return (await deleted.arrived) !== undefined;
    throw error;
  } finally {
    deleted.stop();
  }
};

const refused = (host: QemuHost, device: Device): Error =>
  notReleased(
    device.kind === 'vif' ? 'VIF' : 'VBD',
    device.key,
    `the guest did not release ${device.key} within ${host.releaseMsMax / 1000} seconds`,
  );

/** Removes what stood behind a device that is gone. */
const discard = async (host: QemuHost, guest: QemuGuest, device: Device): Promise<void> => {
  await dropBackend(guest.link.qmp(), device);
  if (device.kind !== 'vif') await closeInherited(host, guest, device);
  const { user, domid, lent = [] } = guest.record;
  if (user) {
    await removeTaps(host.disk, host.processes, domid, [device]);
    await takeBack(
      host.disk,
      lent.filter(({ node }) => node === device.id),
    );
    await note(host, guest, { lent: lent.filter(({ node }) => node !== device.id) });
  }
  await forget(host, guest, device);
};

/** What is gone already is success: the call before may have got this far. */
const dropBackend = async (qmp: Qmp, device: Device): Promise<void> => {
  if (device.kind === 'vif')
    return unlessAbsent(qmp, 'netdev_del', said({ id: netdevOf(device) }), /not found/i);
  await unlessAbsent(qmp, 'blockdev-del', said({ 'node-name': device.id }), /find node/i);
  await unlessAbsent(qmp, 'blockdev-del', said({ 'node-name': `${device.id}-dead` }), /find node/i);
  await dropImages(qmp, device);
};

/** Puts nothing but errors under the device's node, which closes the storage that was there. */
const takeStorage = async (qmp: Qmp, device: Device): Promise<void> => {
  if (device.isDead) return;
  await qmp.execute('blockdev-add', deadNode(device.id));
  const options = said({
    driver: 'raw',
    'node-name': device.id,
    'read-only': false,
    file: `${device.id}-dead`,
  });
  await qmp.execute('blockdev-reopen', said({ options: [options] }));
  await dropImages(qmp, device);
};
