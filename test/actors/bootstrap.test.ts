// Goal: a pool starts with what its clients expect to find, and a later start renews it and doubles nothing.
// Method: bootstrap on a store on disk with made-up machines, opened again in between; and on this machine.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { type BootstrapOptions, type Bootstrapped, bootstrap } from '../../actors/pool/bootstrap.ts';
import { needsDefaultSr, needsIsoSr, useAsDefaultSr } from '../../actors/pool/default-storage.ts';
import { templates } from '../../actors/pool/templates.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { hostFacts } from '../../src/main/host-facts.ts';
import type { ClassName } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { keepDisabled } from '../../src/objects/host-facts.ts';
import { linksChanged } from '../../src/rules/network-cards.ts';
import { silentLog } from '../../src/std/log.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import type { Replica } from '../../src/store/replica.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { cardFacts, machineFacts } from '../machine-facts.ts';
import { manualClock } from '../manual-clock.ts';
import { referenceJson } from '../reference.ts';

let folder: string;
let store: Store;
let replica: Replica;
const clock = manualClock(Date.UTC(2026, 0, 2));

const reopen = async (): Promise<void> => {
  await replica?.close();
  ({ store, replica } = openStore({ classes, durable: lmdbDurable(folder), log: silentLog }));
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-bootstrap-'));
  ({ store, replica } = openStore({ classes, durable: lmdbDurable(folder), log: silentLog }));
});
afterEach(async () => {
  await replica.close();
  await rm(folder, { recursive: true });
});

const start = (options: Partial<BootstrapOptions> = {}): Promise<Bootstrapped> =>
  bootstrap({
    store,
    facts: machineFacts(),
    clock,
    random: nodeRandom,
    name: 'pool',
    address: '127.0.0.1',
    version: '0.1.0',
    ...options,
  });

const rows = <C extends ClassName>(cls: C) => [...store.committed.all(cls)].map(([, record]) => record);
const counts = () => Object.fromEntries(classes.map(({ name }) => [name, rows(name).length]));

describe('The first start', () => {
  test('makes one pool of one host, with the figures of its machine', async () => {
    const { pool, host, created } = await start();
    expect(created).toBe(true);
    expect(store.committed.require('pool', pool)).toMatchObject({
      name_label: 'pool',
      master: host,
      default_SR: nullRef,
    });
    const record = store.committed.require('host', host);
    expect(record).toMatchObject({ hostname: 'machine', address: '127.0.0.1', enabled: true });
    expect(Object.fromEntries(record.cpu_info)).toMatchObject({
      cpu_count: '8',
      socket_count: '2',
      threads_per_core: '2',
      vendor: 'GenuineIntel',
    });
    expect(Object.fromEntries(record.cpu_configuration)).toMatchObject({
      nr_cpus: '8',
      cores_per_socket: '2',
    });
    expect(store.committed.require('host_metrics', record.metrics)).toMatchObject({
      memory_total: 16n << 30n,
      live: true,
    });
    expect(rows('host_cpu').map(({ number }) => number)).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n]);
    expect(record.host_CPUs).toHaveLength(8);
  });

  test('gives the host a running control domain that holds what the system uses', async () => {
    const { host } = await start();
    const { control_domain } = store.committed.require('host', host);
    const dom0 = store.committed.require('VM', control_domain);
    expect(dom0).toMatchObject({
      is_control_domain: true,
      power_state: 'Running',
      resident_on: host,
      domid: 0n,
      memory_target: 2n << 30n,
    });
    expect(store.committed.require('VM_metrics', dom0.metrics).memory_actual).toBe(2n << 30n);
    expect(store.committed.require('host', host).resident_VMs).toEqual([control_domain]);
  });

  test('versions are what clients parse, and nothing is withheld but TPMs, until each host says that it serves them', async () => {
    const { host } = await start();
    const { software_version: versions, license_params, ...record } = store.committed.require('host', host);
    for (const key of ['product_version', 'platform_version', 'xen']) {
      expect(versions.get(key), key).toMatch(/^\d+\.\d+\.\d+$/);
    }
    expect(record.API_version_major * 100n + record.API_version_minor).toBe(223n);
    expect(license_params.get('expiry')).toMatch(/^\d{8}T\d\d:\d\d:\d\dZ$/);
    const [pool] = rows('pool');
    for (const map of [license_params, pool?.restrictions ?? new Map()]) {
      const restricted = [...map].filter(([key, value]) => key.startsWith('restrict_') && value !== 'false');
      expect(restricted).toEqual([['restrict_vtpm', 'true']]);
    }
    const known = referenceJson<readonly string[]>('license-restrictions.json');
    expect([...license_params.keys()]).toEqual(expect.arrayContaining([...known]));
  });

  test('records the cards, each with a network, and the host is managed by the one with the route out', async () => {
    const { host } = await start();
    const pifs = rows('PIF');
    expect(pifs.map(({ device, management }) => [device, management])).toEqual([
      ['eth0', false],
      ['eth10', true],
    ]);
    expect(pifs[1]).toMatchObject({
      host,
      IP: '192.0.2.10',
      DNS: '192.0.2.2,192.0.2.3',
      VLAN: -1n,
      physical: true,
    });
    expect(rows('network').map(({ bridge, name_label }) => [bridge, name_label])).toEqual([
      ['xenapi', 'Host internal management network'],
      ['xenbr0', 'Pool-wide network associated with eth0'],
      ['xenbr10', 'Pool-wide network associated with eth10'],
    ]);
  });

  test('roles have the references that they have in every pool, and hold each other', async () => {
    await start();
    const admin = store.committed.byUuid('role', '0165f154-ba3e-034e-6b27-5d271af109ba');
    expect(admin).toBe('OpaqueRef:0165f154-ba3e-034e-6b27-5d271af109ba');
    expect(rows('role').map(({ name_label }) => name_label)).toEqual(
      expect.arrayContaining([
        'pool-admin',
        'pool-operator',
        'vm-power-admin',
        'vm-admin',
        'vm-operator',
        'read-only',
      ]),
    );
    for (const { subroles, name_label } of rows('role'))
      expect(subroles.length, name_label).toBeGreaterThan(0);
    expect(rows('role').filter(({ is_internal }) => is_internal)).toHaveLength(1);
  });

  test('templates can be found by name and say what provisioning makes of them', async () => {
    await start();
    const made = rows('VM').filter(({ is_default_template }) => is_default_template);
    expect(made).toHaveLength(templates.length);
    expect(new Set(made.map(({ reference_label }) => reference_label)).size).toBe(templates.length);
    const other = made.find(({ name_label }) => name_label === 'Other install media');
    expect(other?.other_config.get('disks')).toBe('<provision/>');
    for (const vm of made) {
      expect(vm).toMatchObject({
        is_a_template: true,
        power_state: 'Halted',
        domain_type: 'hvm',
        domid: -1n,
      });
      expect(vm.memory_static_min <= vm.memory_dynamic_min, vm.name_label).toBe(true);
      expect(vm.other_config.get('default_template')).toBe('true');
      expect(vm.HVM_boot_params.get('order'), vm.name_label).toMatch(/^[cdn]+$/);
    }
    const debian = made.find(({ name_label }) => name_label.startsWith('Debian Bookworm'));
    expect(Object.fromEntries(debian?.other_config ?? [])).toMatchObject({
      linux_template: 'true',
      'install-distro': 'debianlike',
      'install-methods': 'cdrom,nfs,http,ftp',
      disks: expect.stringContaining('<disk device="0" size="10737418240" sr="" bootable="true"'),
    });
  });
});

describe('Later starts', () => {
  test('make nothing twice', async () => {
    const first = await start();
    const before = counts();
    await reopen();
    const second = await start();
    expect(second).toEqual({ ...first, created: false });
    expect(counts()).toEqual(before);
  });

  test('keep what users changed and renew what the machine says', async () => {
    const { pool, host } = await start();
    await store.commit((tx) => {
      tx.patch('pool', pool, { name_label: 'mine' });
      tx.patch('host', host, { name_label: 'my host', other_config: new Map([['mine', '1']]) });
    });
    await reopen();
    await start({
      name: 'another',
      address: '192.0.2.10',
      facts: machineFacts({
        memoryBytes: 32n << 30n,
        processors: machineFacts().processors.slice(0, 2),
        cards: [cardFacts('eth0', { ip: '192.0.2.99' })],
      }),
    });
    const record = store.committed.require('host', host);
    expect(store.committed.require('pool', pool).name_label).toBe('mine');
    expect(record).toMatchObject({ name_label: 'my host', address: '192.0.2.10' });
    expect(record.other_config.get('mine')).toBe('1');
    expect(store.committed.require('host_metrics', record.metrics).memory_total).toBe(32n << 30n);
    expect(rows('host_cpu')).toHaveLength(2);
    const cards = rows('PIF').map(({ device, IP, currently_attached }) => [device, IP, currently_attached]);
    expect(cards.sort()).toEqual([
      ['eth0', '192.0.2.99', true],
      ['eth10', '192.0.2.10', false],
    ]);
  });

  test('guests that went on running do not count as memory of the control domain', async () => {
    const { host } = await start();
    const dom0 = store.committed.require('host', host).control_domain;
    const withGuests = machineFacts({ memoryFreeBytes: 1n << 30n });
    await start({ facts: withGuests });
    expect(store.committed.require('VM', dom0).memory_target).toBe(2n << 30n);
    await start({ facts: { ...withGuests, bootedAtMs: Date.UTC(2026, 0, 3) } });
    expect(store.committed.require('VM', dom0).memory_target).toBe(15n << 30n);
  });

  test('enable the host again, unless it was disabled for good', async () => {
    const { host } = await start();
    await store.commit((tx) => tx.patch('host', host, { enabled: false }));
    await start();
    expect(store.committed.require('host', host).enabled).toBe(true);
    await store.commit((tx) =>
      tx.patch('host', host, { enabled: false, other_config: new Map([[keepDisabled, 'true']]) }),
    );
    await start();
    expect(store.committed.require('host', host).enabled).toBe(false);
  });
});

describe('Storage to start with', () => {
  test('is wanted once, and what the pool was told otherwise stays', async () => {
    await start();
    expect([needsDefaultSr(store.latest), needsIsoSr(store.latest)]).toEqual([true, true]);
    const sr = 'OpaqueRef:sr' as Ref<'SR'>;
    const iso = 'OpaqueRef:iso' as Ref<'SR'>;
    await store.commit((tx) => {
      tx.create('SR', sr, { uuid: 'sr', content_type: 'user' });
      tx.create('SR', iso, { uuid: 'iso', content_type: 'iso' });
    });
    const [[pool] = []] = [...store.committed.all('pool')];
    await store.commit((tx) => tx.patch('pool', pool as Ref<'pool'>, { suspend_image_SR: iso }));
    await useAsDefaultSr(store, sr);
    expect(rows('pool')[0]).toMatchObject({ default_SR: sr, suspend_image_SR: iso, crash_dump_SR: sr });
    expect([needsDefaultSr(store.latest), needsIsoSr(store.latest)]).toEqual([false, false]);
  });
});

describe('Facts of this machine', () => {
  test('tell its memory, its processors and since when it runs', async () => {
    const facts = await hostFacts();
    expect(facts.memoryBytes).toBeGreaterThan(0n);
    expect(facts.memoryFreeBytes).toBeLessThanOrEqual(facts.memoryBytes);
    expect(facts.processors.length).toBeGreaterThan(0);
    expect(facts.bootedAtMs).toBeLessThan(Date.now());
    expect((await hostFacts()).bootedAtMs).toBe(facts.bootedAtMs);
    await start({ facts });
  });

  test('are fewer, never wrong, where there is no /proc', async () => {
    const facts = await hostFacts({ root: folder });
    expect(facts.memoryBytes).toBeGreaterThan(0n);
    expect(facts.processors.length).toBeGreaterThan(0);
    expect(facts.nameServers).toEqual([]);
    await start({ facts });
  });
});

describe('The link of a card', () => {
  const unplugged = { carrier: false, speedMbps: 0, fullDuplex: false };
  const linkOf = (device: string) => {
    const pif = rows('PIF').find((one) => one.device === device);
    return store.committed.get('PIF_metrics', pif?.metrics as Ref<'PIF_metrics'>);
  };

  test('is told in figures of its own, which each later start renews', async () => {
    const { host } = await start();
    expect(linkOf('eth0')).toMatchObject({
      ...{ carrier: true, speed: 1000n, duplex: true },
      ...{ vendor_id: '8086', device_id: '100e', pci_bus_path: '0000:00:03.0' },
    });
    const before = linkOf('eth10')?.uuid;
    expect(linksChanged(store.committed, host, machineFacts())).toBe(false);

    const { link, ...card } = cardFacts('eth0');
    const facts = machineFacts({ cards: [{ ...card, link: { ...link, ...unplugged } }] });
    expect(linksChanged(store.committed, host, facts)).toBe(true);
    await start({ facts });
    expect(linkOf('eth0')).toMatchObject({ carrier: false, speed: 0n, duplex: false });
    // A card that is gone has no link either.
    expect(linkOf('eth10')).toMatchObject({ uuid: before, carrier: false, speed: 0n });
    expect(linksChanged(store.committed, host, facts)).toBe(false);
    expect(rows('PIF_metrics').length).toBe(2);
  });
});
