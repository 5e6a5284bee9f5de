import { readdir, readFile } from 'node:fs/promises';
import { arch, cpus, freemem, hostname, networkInterfaces, release, totalmem, type, uptime } from 'node:os';
import { join } from 'node:path';
import type { CardLink, HostFacts, NetworkCard, Processor } from '../objects/host-facts.ts';
import { own } from '../std/own.ts';

export interface HostFactsOptions {
  /** Where `/proc`, `/sys` and `/etc` of the machine are. */
  readonly root?: string;
}

interface SystemFiles {
  read(path: string): Promise<string>;
  list(path: string): Promise<readonly string[]>;
}

/** Cards that are recorded; a machine with more has made them up for containers. */
export const cardsMax = 64;

/** Facts of the machine that this process runs on. Other systems than Linux tell fewer of them. */
export const hostFacts = async ({ root = '/' }: HostFactsOptions = {}): Promise<HostFacts> => {
  const files: SystemFiles = {
    read: (path) => readFile(join(root, path), 'utf8').catch(() => ''),
    list: (path) => readdir(join(root, path)).catch(() => []),
  };
  const memory = memoryOf(await files.read('proc/meminfo'));
  return {
    hostname: hostname(),
    memoryBytes: memory.get('MemTotal') ?? BigInt(totalmem()),
    memoryFreeBytes: memory.get('MemAvailable') ?? BigInt(freemem()),
    bootedAtMs: bootedAtMs(await files.read('proc/stat')),
    system: `${type()} ${release()}`,
    bios: await biosOf(files),
    processors: processorsOf(await files.read('proc/cpuinfo')),
    cards: await cardsOf(files),
    nameServers: nameServersOf(await files.read('etc/resolv.conf')),
  };
};

const memoryOf = (meminfo: string): ReadonlyMap<string, bigint> =>
  new Map(
    [...meminfo.matchAll(/^(\w+): +(\d+) kB$/gm)].map(([, name = '', kib = '0']) => [
      name,
      BigInt(kib) * 1024n,
    ]),
  );

const bootedAtMs = (stat: string): number => {
  const seconds = /^btime (\d+)$/m.exec(stat)?.[1];
  // To the second, as the uptime that it is reckoned from is read a moment later each time.
  return seconds === undefined ? Math.round(Date.now() / 1000 - uptime()) * 1000 : Number(seconds) * 1000;
};

const biosFiles = {
  'bios-vendor': 'bios_vendor',
  'bios-version': 'bios_version',
  'system-manufacturer': 'sys_vendor',
  'system-product-name': 'product_name',
  'system-version': 'product_version',
  'system-serial-number': 'product_serial',
  'baseboard-manufacturer': 'board_vendor',
  'baseboard-product-name': 'board_name',
} as const;

const biosOf = async (files: SystemFiles): Promise<ReadonlyMap<string, string>> => {
  const entries = await Promise.all(
    Object.entries(biosFiles).map(
      async ([name, file]) => [name, (await files.read(`sys/class/dmi/id/${file}`)).trim()] as const,
    ),
  );
  return new Map(entries);
};

/** One block of lines `name : value` for each processor. */
const processorsOf = (cpuinfo: string): readonly Processor[] => {
  const blocks = cpuinfo.split(/\n\n+/).filter((block) => /^processor\s*:/m.test(block));
  if (blocks.length === 0) return cpus().map(plainProcessor);
  return blocks.map((block, index) => {
    const facts = new Map(
      [...block.matchAll(/^([^\t:]+?)\s*:[ \t]*(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
    );
    const number = (name: string, unknown: number): number => Number(facts.get(name) ?? unknown) || 0;
    return {
      vendor: facts.get('vendor_id') ?? facts.get('CPU implementer') ?? arch(),
      model: facts.get('model name') ?? cpus()[index]?.model ?? arch(),
      speedMhz: number('cpu MHz', cpus()[index]?.speed ?? 0),
      family: number('cpu family', 0),
      modelNumber: number('model', 0),
      stepping: facts.get('stepping') ?? '',
      flags: (facts.get('flags') ?? facts.get('Features') ?? '').split(/\s+/).filter(Boolean),
      socket: number('physical id', 0),
      core: number('core id', index),
    };
  });
};

const plainProcessor = ({ model, speed }: { model: string; speed: number }, core: number): Processor => ({
  vendor: arch(),
  model,
  speedMhz: speed,
  family: 0,
  modelNumber: 0,
  stepping: '',
  flags: [],
  socket: 0,
  core,
});

const cardsOf = async (files: SystemFiles): Promise<readonly NetworkCard[]> => {
  const addresses = networkInterfaces();
  const devices = (await files.list('sys/class/net')).filter((device) => device !== 'lo');
  const real = await Promise.all(
    devices.map(async (device) => (await files.list(`sys/class/net/${device}/device`)).length > 0),
  );
  // In a container no card is real, and the one with an address is what there is. The same holds where
  // there is no /sys at all.
  const physical = devices.filter((_, index) => real[index]);
  const usable = physical.length > 0 ? physical : Object.keys(addresses).filter((device) => hasIpv4(device));
  const routes = routesOf(await files.read('proc/net/route'));
  return Promise.all(
    usable
      .toSorted()
      .slice(0, cardsMax)
      .map((device) => cardOf(files, device, routes.get(device) ?? '')),
  );
};

const hasIpv4 = (device: string): boolean =>
  own(networkInterfaces(), device)?.some(({ family, internal }) => family === 'IPv4' && !internal) === true;

const cardOf = async (files: SystemFiles, device: string, gateway: string): Promise<NetworkCard> => {
  const addresses = own(networkInterfaces(), device) ?? [];
  const file = async (name: string): Promise<string> =>
    (await files.read(`sys/class/net/${device}/${name}`)).trim();
  const ipv4 = addresses.find(({ family }) => family === 'IPv4');
  const up = addresses.length > 0 || (await file('operstate')) === 'up';
  return {
    device,
    mac: (await file('address')) || (addresses[0]?.mac ?? '00:00:00:00:00:00'),
    mtu: Number(await file('mtu')) || 1500,
    up,
    ip: ipv4?.address ?? '',
    netmask: ipv4?.netmask ?? '',
    gateway,
    ipv6: addresses.filter(({ family }) => family === 'IPv6').flatMap(({ cidr }) => cidr ?? []),
    link: await linkOf(file, up),
  };
};

const linkOf = async (file: (name: string) => Promise<string>, up: boolean): Promise<CardLink> => {
  const id = async (name: string): Promise<string> =>
    /^0x([\da-f]{4})$/i.exec(await file(`device/${name}`))?.[1] ?? '';
  const seen = await file('carrier');
  // Where nothing tells, a card with an address has a link.
  const carrier = seen === '' ? up : seen === '1';
  return {
    carrier,
    // A virtual card says -1.
    speedMbps: carrier ? Math.max(0, Number(await file('speed')) || 0) : 0,
    fullDuplex: carrier && (await file('duplex')) === 'full',
    vendorId: await id('vendor'),
    deviceId: await id('device'),
    busPath: /^PCI_SLOT_NAME=(.+)$/m.exec(await file('device/uevent'))?.[1] ?? '',
  };
};

/** Default routers by device. The kernel writes addresses as hexadecimal words, last byte first. */
const routesOf = (table: string): ReadonlyMap<string, string> =>
  new Map(
    [...table.matchAll(/^(\S+)\s+00000000\s+([0-9A-F]{8})\s/gm)].map(([, device = '', word = '']) => [
      device,
      (word.match(/../g) ?? [])
        .toReversed()
        .map((byte) => Number.parseInt(byte, 16))
        .join('.'),
    ]),
  );

const nameServersOf = (resolvConf: string): readonly string[] =>
  [...resolvConf.matchAll(/^nameserver\s+(\S+)/gm)].map(([, server = '']) => server);
