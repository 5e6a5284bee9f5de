// Where a guest's network card leads. On a host that has the bridge, and where we may, onto it by a TAP
// device; elsewhere (a laptop) into a network of its own that answers DHCP and reaches nothing: no guest
// gets out, and nobody gets in, because somebody started a demonstration pool.
import type { Disk } from '../../../drivers/disk.ts';
import type { Vif } from '../../../drivers/hypervisor/hypervisor.ts';
import type { Processes } from '../../../drivers/processes.ts';
import { type Device, netdevOf } from './devices.ts';

export interface Wire {
  /** As `netdev_add` takes it. */
  readonly netdev: object;
  /** Set when there is a TAP device to put on a bridge once the emulator has made it. */
  readonly tap?: { readonly name: string; readonly bridge: string; readonly mtu: number };
}

const STATUS_MAX = 64 * 1024;
const CAP_NET_ADMIN = 12n;
const COMMAND = { timeoutMs: 10_000, outputMax: 64 * 1024 };

export const wireFor = async (
  disk: Disk,
  device: Device,
  vif: Vif,
  domid: number,
  userNetwork: boolean,
): Promise<Wire> => {
  const id = netdevOf(device);
  if (!(await mayBridge(disk, vif.backend))) {
    const isolated = userNetwork ? { type: 'user', id, restrict: true } : { type: 'hubport', id, hubid: 0 };
    return { netdev: isolated };
  }
  if (typeof vif.locking_mode === 'object') {
    throw new Error(
      `network interface ${device.key} is locked to addresses, which QEMU's bridge cannot enforce`,
    );
  }
  // The emulator makes the TAP device, so that it ends with it however that ends.
  const name = `vif${domid}.${vif.position}`;
  return {
    netdev: { type: 'tap', id, ifname: name, script: 'no', downscript: 'no' },
    tap: { name, bridge: vif.backend, mtu: vif.mtu },
  };
};

/** Puts the emulator's TAP device on its bridge. */
export const connectTap = async (processes: Processes, wire: Wire): Promise<void> => {
  if (!wire.tap) return;
  const { name, bridge, mtu } = wire.tap;
  const args = ['link', 'set', 'dev', name, 'mtu', String(mtu), 'master', bridge, 'up'];
  const done = await processes.run('ip', args, COMMAND);
  if (done.code !== 0) throw new Error(`${name} could not be put on bridge ${bridge}: ${done.stderr.trim()}`);
};

/** True when the guest is to see its cable as plugged in. */
export const hasLink = (vif: Vif): boolean => vif.carrier && vif.locking_mode !== 'Disabled';

const mayBridge = async (disk: Disk, bridge: string): Promise<boolean> => {
  // The kernel's own rule for names; anything else cannot be one and must not become part of a path.
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}$/.test(bridge)) return false;
  if (!(await disk.exists(`/sys/class/net/${bridge}/bridge`))) return false;
  if (!(await disk.exists('/dev/net/tun'))) return false;
  const status = await disk.readText('/proc/self/status', STATUS_MAX);
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return ((effective >> CAP_NET_ADMIN) & 1n) === 1n;
};
