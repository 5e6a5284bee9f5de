import type { HostFacts, Processor } from '../../objects/host-facts.ts';
import type { SeededRandom } from '../random.ts';

/** A machine of a simulated pool. */
export interface SimulatedMachine {
  readonly name: string;
  readonly address: string;
  readonly facts: HostFacts;
}

const GiB = 1n << 30n;
/** What the system of a host keeps for itself. */
const ownBytes = 4n * GiB;
const bootedBeforeMs = 7 * 24 * 3_600_000;

const models = [
  { model: 'Simulated CPU @ 2.10GHz', speedMhz: 2_100, cores: 16 },
  { model: 'Simulated CPU @ 2.60GHz', speedMhz: 2_600, cores: 24 },
  { model: 'Simulated CPU @ 3.00GHz', speedMhz: 3_000, cores: 32 },
] as const;

/**
 * Machines of one pool: alike, as pools want them, and with room for `guestBytes` in all even when one of
 * them is lost.
 */
export const simulatedMachines = (
  random: SeededRandom,
  count: number,
  guestBytes: bigint,
  nowMs: number,
): readonly SimulatedMachine[] => {
  const kind = random.pick(models);
  const neededBytes = (guestBytes * 3n) / (2n * BigInt(Math.max(1, count - 1)));
  let memoryBytes = 128n * GiB;
  while (memoryBytes - ownBytes < neededBytes) memoryBytes *= 2n;
  const digits = String(count).length;
  return Array.from({ length: count }, (_, i) => {
    const name = `host-${String(i + 1).padStart(Math.max(2, digits), '0')}`;
    const address = `10.255.${(i + 1) >> 8}.${(i + 1) & 0xff}`;
    return { name, address, facts: factsOf(random.split(name), { name, address, memoryBytes, kind, nowMs }) };
  });
};

const factsOf = (
  random: SeededRandom,
  given: {
    readonly name: string;
    readonly address: string;
    readonly memoryBytes: bigint;
    readonly kind: (typeof models)[number];
    readonly nowMs: number;
  },
): HostFacts => ({
  hostname: given.name,
  memoryBytes: given.memoryBytes,
  memoryFreeBytes: given.memoryBytes - ownBytes,
  bootedAtMs: given.nowMs - bootedBeforeMs,
  system: 'Linux 6.1.0-simulated',
  bios: new Map([
    ['bios-vendor', 'Xenact'],
    ['system-manufacturer', 'Xenact'],
    ['system-product-name', 'Simulated machine'],
    ['system-serial-number', Buffer.from(random.bytes(5)).toString('hex').toUpperCase()],
  ]),
  processors: Array.from({ length: given.kind.cores }, (_, core) => processorOf(given.kind, core)),
  cards: [0, 1].map((n) => ({
    device: `eth${n}`,
    mac: ['02', ...(Buffer.from(random.bytes(5)).toString('hex').match(/../g) as string[])].join(':'),
    mtu: 1_500,
    up: true,
    ip: n === 0 ? given.address : '',
    netmask: n === 0 ? '255.255.0.0' : '',
    gateway: n === 0 ? '10.255.0.1' : '',
    ipv6: [],
    link: {
      ...{ carrier: true, speedMbps: 10_000, fullDuplex: true },
      ...{ vendorId: '1af4', deviceId: '1041', busPath: `0000:00:0${n + 3}.0` },
    },
  })),
  nameServers: ['10.255.0.1'],
});

const processorOf = ({ model, speedMhz, cores }: (typeof models)[number], core: number): Processor => ({
  vendor: 'GenuineIntel',
  model,
  speedMhz,
  family: 6,
  modelNumber: 143,
  stepping: '8',
  flags: [
    'fpu',
    'vme',
    'de',
    'pse',
    'tsc',
    'msr',
    'pae',
    'cx8',
    'apic',
    'sse',
    'sse2',
    'ht',
    'vmx',
    'aes',
    'avx',
  ],
  socket: core < cores / 2 ? 0 : 1,
  core,
});
