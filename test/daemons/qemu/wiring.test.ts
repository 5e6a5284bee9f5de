// Goal: a guest is on the bridge where there is one and we may use it, and else in a network of its own;
//   what cannot be enforced is refused.
// Method: a disk of the test answers what /sys and /proc would; commands are recorded.
import { expect, test } from 'vitest';
import { vifDevice } from '../../../src/daemons/xenopsd/qemu/devices.ts';
import { connectTap, hasLink, wireFor } from '../../../src/daemons/xenopsd/qemu/wiring.ts';
import type { Disk } from '../../../src/drivers/disk.ts';
import type { Vif } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';
import { VM, vifOf } from './guests.ts';

const NET_ADMIN = 'Name:\tx\nCapEff:\t0000000000001000\n';
const hostWith = (capabilities: string, ...paths: string[]): Disk => ({
  ...nodeDisk,
  exists: async (path) => paths.includes(path),
  readText: async () => capabilities,
});
const bridged = hostWith(NET_ADMIN, '/sys/class/net/xenbr0/bridge', '/dev/net/tun');
const wire = (disk: Disk, vif: Vif, userNetwork = true) => wireFor(disk, vifDevice(vif), vif, 7, userNetwork);

test('a guest gets a TAP device on the bridge, named after its domain and position', async () => {
  const made = await wire(bridged, vifOf({ id: [VM, '2'], position: 2 }));
  expect(made.netdev).toEqual({
    type: 'tap',
    id: 'vif2-net',
    ifname: 'vif7.2',
    script: 'no',
    downscript: 'no',
  });
  const ran: (readonly string[])[] = [];
  const run = async (file: string, args: readonly string[]) => {
    ran.push([file, ...args]);
    return { code: ran.length - 1, signal: null, stdout: '', stderr: 'no such bridge' };
  };
  await connectTap({ ...nodeProcesses, run }, made);
  expect(ran).toEqual(['ip link set dev vif7.2 mtu 1500 master xenbr0 up'.split(' ')]);
  await expect(connectTap({ ...nodeProcesses, run }, made)).rejects.toThrow('bridge xenbr0: no such bridge');
});

test.each([
  ['the bridge is missing', hostWith(NET_ADMIN, '/dev/net/tun')],
  ['TAP is missing', hostWith(NET_ADMIN, '/sys/class/net/xenbr0/bridge')],
  ['we may not', hostWith('CapEff:\t0000000000000fff\n', '/sys/class/net/xenbr0/bridge', '/dev/net/tun')],
])('a guest is alone in its network where %s', async (_, disk) => {
  expect((await wire(disk, vifOf())).netdev).toEqual({ type: 'user', id: 'vif0-net', restrict: true });
  const without = await wire(disk, vifOf(), false);
  expect(without.netdev).toEqual({ type: 'hubport', id: 'vif0-net', hubid: 0 });
  await connectTap(nodeProcesses, without);
});

test('the name of a bridge never becomes another path', async () => {
  const all: Disk = { ...bridged, exists: async () => true };
  for (const backend of ['../../etc', '..', 'a/b', '', 'x'.repeat(16)]) {
    expect((await wire(all, vifOf({ backend }))).tap).toBeUndefined();
  }
});

test('addresses that cannot be enforced on a bridge are refused there, and need not be elsewhere', async () => {
  const locked = vifOf({ locking_mode: { ipv4: ['10.0.0.1'], ipv6: [] } });
  await expect(wire(bridged, locked)).rejects.toThrow('nothing on this host keeps');
  expect((await wire(hostWith(''), locked)).netdev).toMatchObject({ restrict: true });
});

test('a cable is seen as plugged in unless it is taken out or the interface is disabled', () => {
  expect(hasLink(vifOf())).toBe(true);
  expect(hasLink(vifOf({ carrier: false }))).toBe(false);
  expect(hasLink(vifOf({ locking_mode: 'Disabled' }))).toBe(false);
});
