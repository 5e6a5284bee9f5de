// Goal: no row is left naming what is gone, except where its declaration says so and why that is bearable.
// Method: the declarations of all classes are walked; for each field that names rows, a row that names another is
// made in the store of a real host, the other is deleted, and what was declared is looked for in that same commit.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import type { AnyClass, ClassName, Field } from '../../src/model/class.ts';
import { type Holding, holdingOf } from '../../src/model/references.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { collectorOf } from '../../src/objects/collector.ts';
import { internalClasses } from '../../src/pool/rows.ts';
import { type World, world } from '../world.ts';

interface Naming {
  readonly cls: AnyClass;
  readonly name: string;
  readonly field: Field;
  readonly holding: Holding;
}

const all: readonly AnyClass[] = [...classes, ...internalClasses];

const namings: readonly Naming[] = all
  .filter(({ inDatabase }) => inDatabase !== false)
  .flatMap((cls) =>
    Object.entries(cls.fields).flatMap(([name, field]) => {
      const holding = holdingOf(field.type);
      return holding === undefined || field.computed === true ? [] : [{ cls, name, field, holding }];
    }),
  );

const ref = (name: string): Ref<any> => `OpaqueRef:${name}` as Ref<any>;

/** A value of the field that names these. */
const naming = ({ where }: Holding, ...refs: readonly string[]): unknown => {
  if (where === 'itself') return refs[0] ?? nullRef;
  if (where === 'members') return refs;
  return new Map(refs.map((one) => (where === 'keys' ? [one, ''] : [`key ${one}`, one])));
};

let host: World;
beforeEach(async () => {
  host = await world({ behaviours });
});
afterEach(() => host.close());

const row = (cls: AnyClass, name: string): any =>
  host.store.committed.get(cls.name as ClassName, ref(name) as never);

const make = (cls: string, name: string, fields: object = {}): Promise<void> =>
  host.store.commit((tx) => tx.create(cls as ClassName, ref(name) as never, fields as never));

const remove = (cls: string, ...names: readonly string[]): Promise<void> =>
  host.store.commit((tx) => {
    for (const name of names) tx.delete(cls as ClassName, ref(name) as never);
  });

describe('each field that names rows', () => {
  test('declares what becomes of its row when one of them goes', () => {
    const silent = namings.filter(({ field }) => field.gone === undefined);
    expect(silent.map(({ cls, name }) => `${cls.name}.${name}`)).toEqual([]);
  });

  test('is in need of what it names where the collector is to see to it', () => {
    for (const { cls, name, field } of namings) {
      if (field.gone === 'collected') expect(cls.needs?.flat(), `${cls.name}.${name}`).toContain(name);
    }
  });

  test('leaves nothing to the collector or to history but what the XenAPI lets dangle', () => {
    const stays = namings.filter(({ field }) => field.gone === 'stays');
    expect(stays.map(({ cls, name }) => `${cls.name}.${name}`).toSorted()).toEqual([
      // Reverting to a snapshot brings back the VM or the disk that is gone, and who was whose tells siblings.
      'VDI.snapshot_of',
      // What work that was cut short had made is removed by its host at the next start, or is gone already.
      'VM.leftovers',
      'VM.snapshot_of',
      // The coordinator is never removed: it is replaced first.
      'pool.master',
      // Who started a task is asked of whoever wants to end it.
      'task.session',
      // A log of what a host was at, for whoever cleans up behind it.
      'xenact_step.from',
      'xenact_step.to',
    ]);
  });

  test.each(namings.map((one) => [`${one.cls.name}.${one.name}`, one] as const))(
    '%s: so it is',
    async (_, one) => {
      const { cls, name, field, holding } = one;
      if (holding.of !== 'pool') await make(holding.of, 'other');
      await make(holding.of, 'target');
      const before = naming(holding, ref('other'), ref('target'));
      const value = holding.where === 'itself' ? ref('target') : before;
      await make(cls.name, 'row', { [name]: value });
      const commits = host.store.generation;
      await remove(holding.of, 'target');
      expect(host.store.generation).toBe(commits + 1);

      const after = row(cls, 'row');
      const rest = holding.where === 'itself' ? nullRef : naming(holding, ref('other'));
      if (field.gone === 'cleared') expect(after?.[name]).toEqual(rest);
      else if (field.gone === 'goes too') expect(after).toBeUndefined();
      else expect(after?.[name]).toEqual(value);
      if (field.gone !== 'collected') return;
      await collectorOf({ catalog: host.catalog, store: host.store, clock: nodeClock })();
      expect(row(cls, 'row')).toBeUndefined();
    },
  );

  test.each(all.flatMap((cls) => (cls.takes ?? []).map((field) => [cls.name, field] as const)))(
    '%s takes along its %s, whoever removes it',
    async (cls, name) => {
      const declared = all.find((one) => one.name === cls) as AnyClass;
      const { type, computed, inverse } = declared.fields[name] as Field;
      const holding = holdingOf(type) as Holding;
      await make(cls, 'whole');
      const far = inverse?.split('.')[1];
      await make(holding.of, 'part', computed === true ? { [far as string]: ref('whole') } : {});
      if (computed !== true) {
        const value = naming(holding, ref('part'));
        await host.store.commit((tx) =>
          tx.patch(cls as ClassName, ref('whole') as never, { [name]: value } as never),
        );
      }
      await remove(cls, 'whole');
      expect(host.store.committed.get(holding.of as ClassName, ref('part') as never)).toBeUndefined();
    },
  );
});

describe('a commit that deletes', () => {
  test('follows through what goes with what: the drives of the disks, and what names those', async () => {
    await make('VM', 'vm');
    await make('SR', 'sr');
    await make('VDI', 'disk', { SR: ref('sr') });
    await make('VDI', 'iso', { SR: ref('sr') });
    await make('VBD', 'drive', { VM: ref('vm'), VDI: ref('disk'), type: 'Disk' });
    await make('VBD', 'cd', { VM: ref('vm'), VDI: ref('iso'), type: 'CD', empty: false });
    await remove('VDI', 'disk', 'iso');
    const { committed } = host.store;
    expect(committed.get('VBD', ref('drive'))).toBeUndefined();
    expect(committed.require('VBD', ref('cd'))).toMatchObject({ VDI: nullRef, empty: true });
    expect(committed.require('VM', ref('vm'))['VBDs']).toEqual([ref('cd')]);
  });

  test('tells watchers of every row that changed for it', async () => {
    await make('SR', 'sr');
    await host.store.commit((tx) => tx.patch('pool', tx.only('pool')[0], { default_SR: ref('sr') }));
    const told: string[] = [];
    host.store.watch((changes) => {
      for (const { entry } of changes) told.push(entry.cls);
    });
    await remove('SR', 'sr');
    expect(told).toEqual(['SR', 'pool']);
    expect(host.store.committed.only('pool')[1].default_SR).toBe(nullRef);
  });

  test('sees what itself made name the row, and leaves alone what it made name another', async () => {
    await make('host', 'a');
    await make('host', 'b');
    await make('VM', 'was', { affinity: ref('a') });
    await host.store.commit((tx) => {
      tx.create('VM', ref('new'), { affinity: ref('a') });
      tx.patch('VM', ref('was'), { affinity: ref('b') });
      tx.delete('host', ref('a'));
    });
    expect(host.store.committed.require('VM', ref('new'))['affinity']).toBe(nullRef);
    expect(host.store.committed.require('VM', ref('was'))['affinity']).toBe(ref('b'));
  });
});
