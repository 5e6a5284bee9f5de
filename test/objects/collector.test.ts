// Goal: rows that have lost what they need go, those that can live without it stay, and a pass keeps nobody waiting.
// Method: rows made dangling in the store of a real host, and passes run by hand.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import vbd from '../../actors/vbd/behaviour.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import type { ClassName } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { collectorOf, removedAtOnceMax } from '../../src/objects/collector.ts';
import type { Tx } from '../../src/store/view.ts';
import { type World, world } from '../world.ts';

const ref = <C extends string>(name: string) => `OpaqueRef:${name}` as Ref<C>;
const gone = ref<never>('gone');

let host: World;
let pass: () => Promise<number>;

beforeEach(async () => {
  host = await world({
    behaviours: [vbd],
    rows: (tx) => {
      tx.create('VM', ref('vm'), { uuid: 'vm' });
      tx.create('SR', ref('sr'), { uuid: 'sr' });
      tx.create('network', ref('net'), { uuid: 'net' });
      tx.create('VDI', ref('disk'), { uuid: 'disk', SR: ref('sr') });
    },
  });
  pass = collectorOf({ catalog: host.catalog, store: host.store, clock: nodeClock });
});
afterEach(() => host.close());

const make = (rows: (tx: Tx) => void): Promise<void> => host.store.commit(rows);
const exists = (cls: ClassName, name: string): boolean =>
  host.store.committed.get(cls, ref<any>(name)) !== undefined;

describe('a pass', () => {
  test('leaves what has all it needs, and writes nothing then', async () => {
    await make((tx) => {
      tx.create('VBD', ref('vbd'), { VM: ref('vm'), VDI: ref('disk'), type: 'Disk', empty: false });
      tx.create('VIF', ref('vif'), { VM: ref('vm'), network: ref('net') });
      tx.create('PBD', ref('pbd'), { host: host.host, SR: ref('sr') });
    });
    const before = host.store.generation;
    expect(await pass()).toBe(0);
    expect(host.store.generation).toBe(before);
  });

  test('removes connectors that dangle at either end, and orphans', async () => {
    await make((tx) => {
      tx.create('VBD', ref('no vm'), { VM: gone, VDI: ref('disk'), type: 'CD', empty: false });
      tx.create('VBD', ref('no disk'), { VM: ref('vm'), VDI: gone, type: 'Disk', empty: false });
      tx.create('VIF', ref('vif'), { VM: ref('vm'), network: gone });
      tx.create('PBD', ref('pbd'), { host: gone, SR: ref('sr') });
      tx.create('VDI', ref('vdi'), { uuid: 'vdi', SR: gone });
      tx.create('console', ref('console'), { VM: nullRef as Ref<'VM'> });
      tx.create('PCI', ref('pci'), { host: gone });
    });
    expect(await pass()).toBe(7);
    expect(host.store.committed.require('VM', ref('vm')).VBDs).toEqual([]);
    expect(await pass()).toBe(0);
  });

  test('empties a CD drive whose disk is gone, and leaves an empty drive alone', async () => {
    await make((tx) => {
      tx.create('VBD', ref('cd'), { VM: ref('vm'), VDI: gone, type: 'CD', empty: false });
      tx.create('VBD', ref('empty'), { VM: ref('vm'), type: 'Disk', empty: true });
    });
    expect(await pass()).toBe(0);
    expect(host.store.committed.require('VBD', ref('cd'))).toMatchObject({ VDI: nullRef, empty: true });
    expect(exists('VBD', 'empty')).toBe(true);
  });

  test('takes along what belongs to a row: the secret of a TPM, the VLAN of an interface', async () => {
    await make((tx) => {
      tx.create('secret', ref('secret'), { uuid: 's' });
      tx.create('VTPM', ref('tpm'), { VM: gone, contents: ref('secret') });
      tx.create('VLAN', ref('vlan'), { uuid: 'vlan' });
      tx.create('PIF', ref('pif'), { host: gone, network: ref('net'), VLAN_master_of: ref('vlan') });
      tx.create('Bond', ref('bond'), { master: ref('pif') });
    });
    expect(await pass()).toBe(2);
    for (const [cls, name] of [
      ['secret', 'secret'],
      ['VLAN', 'vlan'],
      ['Bond', 'bond'],
    ] as const) {
      expect(exists(cls, name), cls).toBe(false);
    }
  });

  test('removes what nobody names any more, and keeps what one of several still holds', async () => {
    await make((tx) => {
      tx.create('host_metrics', ref('theirs'), {});
      tx.create('host_metrics', ref('nobodys'), {});
      tx.patch('host', host.host, { metrics: ref('theirs') });
      tx.create('VGPU_type', ref('used'), {});
      tx.create('VGPU_type', ref('unused'), {});
      tx.create('GPU_group', ref('group'), {});
      tx.create('VGPU', ref('vgpu'), { VM: ref('vm'), GPU_group: ref('group'), type: ref('used') });
    });
    expect(await pass()).toBe(2);
    expect(exists('host_metrics', 'theirs')).toBe(true);
    expect(exists('VGPU_type', 'used')).toBe(true);
  });

  test('over very many rows lets others have their turn, and removes them by bounded commits', async () => {
    const count = 5_000;
    await make((tx) => {
      for (let i = 0; i < count; i += 1) tx.create('VIF', ref(`vif${i}`), { VM: gone, network: gone });
    });
    let commits = 0;
    host.store.watch((changes) => {
      commits += 1;
      const removed = changes.filter(({ after }) => after === undefined).length;
      expect(removed).toBeLessThanOrEqual(removedAtOnceMax);
    });
    let turns = 0;
    let going = true;
    const turn = (): void => {
      turns += 1;
      if (going) setImmediate(turn);
    };
    turn();
    expect(await pass()).toBe(count);
    going = false;
    expect(commits).toBeGreaterThanOrEqual(count / removedAtOnceMax);
    // How often depends on the machine; that others had a turn before the end does not.
    expect(turns).toBeGreaterThan(1);
  });
});

test('every need and everything taken is a field that names rows', () => {
  const namesRows = (cls: string, field: string): boolean => {
    const type = classes.find(({ name }) => name === cls)?.fields[field as never] as any;
    return (type?.type.of ?? type?.type.item?.of) !== undefined;
  };
  for (const cls of classes) {
    for (const field of [...(cls.needs ?? []).flat(), ...(cls.takes ?? [])]) {
      const [other, far] = field.includes('.') ? field.split('.') : [cls.name, field];
      expect(namesRows(other ?? '', far ?? ''), `${cls.name} ${field}`).toBe(true);
    }
  }
});
