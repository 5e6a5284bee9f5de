import type { HostFacts, NetworkCard } from '../src/objects/host-facts.ts';

/** A network card as a machine tells of it. */
export const cardFacts = (device: string, fields: Partial<NetworkCard> = {}): NetworkCard => ({
  device,
  mac: `52:54:00:00:00:${device.length.toString(16).padStart(2, '0')}`,
  mtu: 1500,
  up: true,
  ip: '',
  netmask: '',
  gateway: '',
  ipv6: [],
  link: {
    ...{ carrier: true, speedMbps: 1000, fullDuplex: true },
    ...{ vendorId: '8086', deviceId: '100e', busPath: '0000:00:03.0' },
  },
  ...fields,
});

/** A machine with two sockets of two cores with two threads, 16 GiB and two cards. */
export const machineFacts = (fields: Partial<HostFacts> = {}): HostFacts => ({
  hostname: 'machine',
  memoryBytes: 16n << 30n,
  memoryFreeBytes: 14n << 30n,
  bootedAtMs: Date.UTC(2026, 0, 1),
  system: 'Linux 6.1.0',
  bios: new Map([['system-manufacturer', 'Maker']]),
  processors: Array.from({ length: 8 }, (_, i) => ({
    vendor: 'GenuineIntel',
    model: 'A Processor',
    speedMhz: 2000.5,
    family: 6,
    modelNumber: 85,
    stepping: '7',
    flags: ['fpu', 'vmx'],
    socket: i >> 2,
    core: (i >> 1) & 1,
  })),
  cards: [
    cardFacts('eth0'),
    cardFacts('eth10', { ip: '192.0.2.10', netmask: '255.255.255.0', gateway: '192.0.2.1' }),
  ],
  nameServers: ['192.0.2.2', '192.0.2.3'],
  ...fields,
});
