// Where a guest's network card leads. On a host that has the bridge, and where we may, onto it by a TAP
// device; elsewhere (a laptop) into a network of its own that answers DHCP and reaches nothing: no guest
// gets out, and nobody gets in, because somebody started a demonstration pool.
import type { Disk, Owner } from '../../../drivers/disk.ts';
import type { Vif } from '../../../drivers/hypervisor/hypervisor.ts';
import type { Processes } from '../../../drivers/processes.ts';
import { type Allowed, isAllowed, type Said, said } from '../../../std/allowed.ts';
import { notSupported } from '../refusal.ts';
import { type Device, netdevOf } from './devices.ts';

export interface QmpWire {
  /** As `netdev_add` takes it. */
  readonly netdev: Said;
  /** Set when there is a TAP device to put on a bridge once the emulator has made it. */
  readonly tap?: { readonly name: TapName; readonly bridge: Allowed; readonly mtu: number };
}

const TUN = '/dev/net/tun';
const STATUS_MAX = 64 * 1024;
const CAP_NET_ADMIN = 12n;
const COMMAND = { timeoutMs: 10_000, outputMax: 64 * 1024 };

export const wireFor = async (
  disk: Disk,
  device: Device,
  vif: Vif,
  domid: number,
  userNetwork: boolean,
): Promise<QmpWire> => {
  const id = netdevOf(device);
  const bridge = await bridgeCalled(disk, vif.backend);
  if (bridge === undefined) {
    const isolated = { type: 'user', id, restrict: true } as const;
    return { netdev: userNetwork ? said(isolated) : said({ type: 'hubport', id, hubid: 0 }) };
  }
  await assertLockable(disk, device, vif);
  // The emulator makes the TAP device, so that it ends with it however that ends.
  const name = tapName(domid, vif);
  return {
    netdev: said({ type: 'tap', id, ifname: name, script: 'no', downscript: 'no' }),
    tap: { name, bridge, mtu: vif.mtu },
  };
};

type TapName = `vif${number}.${number}`;

export const tapName = (domid: number, { position }: Pick<Vif, 'position'>): TapName =>
  `vif${domid}.${position}`;

/** Nothing filters what goes over a bridge; where a card reaches nothing it needs no filter. */
export const assertLockable = async (disk: Disk, { key }: Device, vif: Vif): Promise<void> => {
  if (typeof vif.locking_mode !== 'object' || (await bridgeCalled(disk, vif.backend)) === undefined) return;
  throw notSupported('VIF.locking_mode', 'locked', `nothing on this host keeps ${key} to some addresses`);
};

/** A card that is on a bridge goes to another one, or off the bridge where this host has no such bridge. */
export const moveTap = async (
  { disk, processes }: { readonly disk: Disk; readonly processes: Processes },
  name: TapName,
  wanted: string,
): Promise<void> => {
  const bridge = await bridgeCalled(disk, wanted);
  if (!(await disk.exists(`/sys/class/net/${name}`))) {
    if (bridge === undefined) return;
    throw notSupported('VIF.network', wanted, `${name} is on no bridge until it is plugged anew`);
  }
  const args = [
    'link',
    'set',
    'dev',
    name,
    ...(bridge === undefined ? ['nomaster'] : ['master', bridge, 'up']),
  ];
  const done = await processes.run('ip', args, COMMAND);
  if (done.code !== 0) throw new Error(`${name} could not be put on ${wanted}: ${done.stderr.trim()}`);
};

/**
 * Makes the TAP device for an emulator that may not make one. It stays when the emulator ends, and goes with
 * `removeTaps`.
 */
export const makeTap = async (
  disk: Disk,
  processes: Processes,
  wire: QmpWire,
  { uid, gid }: Owner,
): Promise<void> => {
  if (!wire.tap) return;
  const { name } = wire.tap;
  // Open to everybody on most systems; a TAP device is for its user alone whoever opens this.
  const tun = await disk.ownerOf(TUN);
  if ((tun.mode & 0o006) !== 0o006) await disk.give(TUN, { uid: tun.uid, gid }, 0o660);
  const done = await processes.run(
    'ip',
    ['tuntap', 'add', 'dev', name, 'mode', 'tap', 'user', String(uid)],
    COMMAND,
  );
  if (done.code !== 0) throw new Error(`${name} could not be made: ${done.stderr.trim()}`);
};

/** Removes those that are there; an emulator that made its own has taken them with it. */
export const removeTaps = async (
  disk: Disk,
  processes: Processes,
  domid: number,
  devices: readonly Device[],
): Promise<void> => {
  for (const { kind, id } of devices) {
    const name = tapName(domid, { position: Number(id.replace(/^vif/, '')) });
    if (kind !== 'vif' || !(await disk.exists(`/sys/class/net/${name}`))) continue;
    await processes.run('ip', ['link', 'delete', 'dev', name], COMMAND);
  }
};

/** Puts the emulator's TAP device on its bridge. */
export const connectTap = async (processes: Processes, wire: QmpWire): Promise<void> => {
  if (!wire.tap) return;
  const { name, bridge, mtu } = wire.tap;
  const args = ['link', 'set', 'dev', name, 'mtu', String(mtu), 'master', bridge, 'up'];
  const done = await processes.run('ip', args, COMMAND);
  if (done.code !== 0) throw new Error(`${name} could not be put on bridge ${bridge}: ${done.stderr.trim()}`);
};

/** True when the guest is to see its cable as plugged in. */
export const hasLink = (vif: Vif): boolean => vif.carrier && vif.locking_mode !== 'Disabled';

/** The bridge of this name, where there is one and we may put guests on it. */
const bridgeCalled = async (disk: Disk, name: string): Promise<Allowed | undefined> => {
  if (!isAllowed('networkDevice', name)) return undefined;
  if (!(await disk.exists(`/sys/class/net/${name}/bridge`))) return undefined;
  if (!(await disk.exists(TUN))) return undefined;
  const status = await disk.readText('/proc/self/status', STATUS_MAX);
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return ((effective >> CAP_NET_ADMIN) & 1n) === 1n ? name : undefined;
};
