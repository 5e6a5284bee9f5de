// Goal: people hear of it when all VMs of a group that should run apart run on one host, once, and no longer than it
// is so.
// Method: the pass over rows that a test changes; each change is what a start, a move or an end leaves.

import { afterEach, expect, test } from 'vitest';
import { apartWatcher } from '../../actors/vm_group/apart.ts';
import groups from '../../actors/vm_group/behaviour.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { hostRef, type World, world } from '../world.ts';

let made: World | undefined;
afterEach(() => made?.close());

const vmRef = (i: number): Ref<'VM'> => `OpaqueRef:vm${i}` as Ref<'VM'>;

/** Three VMs of one group, none of which runs. */
const setUp = async () => {
  const at = await world({ behaviours: [groups], hosts: 2 });
  made = at;
  const group: Ref<'VM_group'> = await at.call(
    'VM_group.create',
    new Map([
      ['name_label', 'apart'],
      ['name_description', ''],
      ['placement', 'anti_affinity'],
    ]),
  );
  await at.store.commit((tx) => {
    for (const i of [0, 1, 2]) tx.create('VM', vmRef(i), { uuid: `vm${i}`, groups: [group] });
  });
  const uuidOf = (host: Ref<'host'>): string => at.store.committed.require('host', host).uuid;
  return {
    at,
    group,
    put: (i: number, host: number | undefined) =>
      at.store.commit((tx) =>
        tx.patch('VM', vmRef(i), {
          power_state: host === undefined ? 'Halted' : 'Running',
          resident_on: host === undefined ? (nullRef as Ref<'host'>) : hostRef(host),
        }),
      ),
    told: () => [...at.store.committed.all('message')].map(([, { name, cls, body }]) => [name, cls, body]),
    breach: (host: number) => [
      'ALL_RUNNING_VMS_IN_ANTI_AFFINITY_GRP_ON_SINGLE_HOST',
      'Pool',
      '<body><message>Breach on VM anti-affinity rules</message>' +
        `<VM_group>${at.store.committed.require('VM_group', group).uuid}</VM_group>` +
        `<host>${uuidOf(hostRef(host))}</host></body>`,
    ],
  };
};

test('a group that runs on one host is told of once, until it does not', async () => {
  const { at, put, told, breach } = await setUp();
  const pass = apartWatcher(at);
  await put(0, 0);
  await pass(true);
  expect(told()).toEqual([]);
  await put(1, 0);
  await pass(true);
  await pass(true);
  expect(told()).toEqual([breach(0)]);
  await put(2, 1);
  await pass(true);
  expect(told()).toEqual([]);
  for (const i of [0, 1]) await put(i, 1);
  await pass(true);
  expect(told()).toEqual([breach(1)]);
  for (const i of [0, 1, 2]) await put(i, 0);
  await pass(true);
  expect(told()).toEqual([breach(0)]);
});

test('what somebody has dismissed does not come again, and who takes over tells nothing twice', async () => {
  const { at, put, told, breach } = await setUp();
  const [first, second] = [apartWatcher(at), apartWatcher(at)];
  for (const i of [0, 1]) await put(i, 0);
  await first(true);
  await second(true);
  expect(told()).toEqual([breach(0)]);
  await at.store.commit((tx) => {
    for (const [ref] of [...tx.all('message')]) tx.delete('message', ref);
  });
  await first(true);
  expect(told()).toEqual([]);
});

test('a group that is gone, or is to do nothing, is not told of, and its VMs are in none', async () => {
  const { at, group, put, told } = await setUp();
  const pass = apartWatcher(at);
  for (const i of [0, 1]) await put(i, 0);
  await pass(true);
  expect(told().length).toBe(1);
  await at.call('VM_group.destroy', group);
  await pass(true);
  expect(told()).toEqual([]);
  expect(at.store.committed.require('VM', vmRef(0)).groups).toEqual([]);
});
