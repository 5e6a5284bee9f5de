import { join } from 'node:path';
import { classes } from '../../actors/index.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { openStore } from '../../src/store/store.ts';
import type { Tx } from '../../src/store/view.ts';
import { openPool } from './pool.ts';

/** How many rows a VM brings with it: itself, two drives, two disks, a network card and a console. */
export const rowsOfOneVm = 7;
const vmsOfOneCommit = 500;

/** Fills a folder with a pool of halted VMs, as if they had been made by calls. */
export const seedPool = async (folder: string, vmCount: number, disksOfOneSr = 1_000): Promise<void> => {
  // The first start makes what every pool has.
  await (await openPool(folder)).close();
  const { store, replica } = openStore({
    classes,
    durable: lmdbDurable(join(folder, 'store')),
    log: silentLog,
  });
  const [network] = store.latest.only('network');
  const template = templateOf(store.latest.all('VM'));
  let sr = newRef<'SR'>();
  for (let made = 0; made < vmCount; made += vmsOfOneCommit) {
    await store.commit((tx) => {
      for (let n = made; n < Math.min(made + vmsOfOneCommit, vmCount); n++) {
        if ((n * 2) % disksOfOneSr === 0) sr = createSr(tx, n);
        createVm(tx, n, { network, sr, template });
      }
    });
  }
  await replica.close();
};

const newRef = <C extends string>(): Ref<C> => `OpaqueRef:${nodeRandom.uuid()}` as Ref<C>;
const uuid = nodeRandom.uuid;

/** What copies take from the template; what is derived or related is theirs alone. */
const templateOf = (vms: Iterable<readonly [Ref<'VM'>, RecordNamed<'VM'>]>): Partial<RecordNamed<'VM'>> => {
  for (const [, { uuid: _, VBDs, VIFs, consoles, ...record }] of vms) {
    if (record.name_label === 'Debian Bookworm 12') return record;
  }
  throw new Error('The pool has no template');
};

const createSr = (tx: Tx, n: number): Ref<'SR'> => {
  const sr = newRef<'SR'>();
  tx.create('SR', sr, {
    uuid: uuid(),
    name_label: `store ${n}`,
    type: 'file',
    content_type: 'user',
    shared: true,
  });
  return sr;
};

interface Shared {
  readonly network: Ref<'network'>;
  readonly sr: Ref<'SR'>;
  readonly template: Partial<RecordNamed<'VM'>>;
}

const createVm = (tx: Tx, n: number, { network, sr, template }: Shared): void => {
  const vm = newRef<'VM'>();
  const name = `vm ${n}`;
  tx.create('VM', vm, {
    ...template,
    uuid: uuid(),
    name_label: name,
    is_a_template: false,
    is_default_template: false,
  });
  for (const device of [0, 1]) {
    const [vdi, vbd] = [newRef<'VDI'>(), newRef<'VBD'>()];
    tx.create('VDI', vdi, {
      uuid: uuid(),
      name_label: `${name} disk ${device}`,
      SR: sr,
      virtual_size: 10n << 30n,
      physical_utilisation: 3n << 30n,
      location: uuid(),
      managed: true,
    });
    tx.create('VBD', vbd, {
      uuid: uuid(),
      VM: vm,
      VDI: vdi,
      userdevice: String(device),
      device: `xvd${'ab'[device]}`,
      bootable: device === 0,
      mode: 'RW',
      type: 'Disk',
    });
  }
  tx.create('VIF', newRef<'VIF'>(), {
    uuid: uuid(),
    VM: vm,
    network,
    device: '0',
    MAC: macOf(n),
    MTU: 1500n,
  });
  tx.create('console', newRef<'console'>(), {
    uuid: uuid(),
    VM: vm,
    protocol: 'rfb',
    location: `https://127.0.0.1/console?uuid=${uuid()}`,
  });
};

const macOf = (n: number): string =>
  ['02', '00', ...(n.toString(16).padStart(8, '0').match(/../g) as string[])].join(':');
