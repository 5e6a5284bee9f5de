// Goal: rows name the disk that a guest writes to, also where the hypervisor's daemon died in the middle of a move, or
//   nobody was there to see its end; of the two disks one is left. What work makes for a VM is noted from its first row on.
// Method: the behaviours and the simulating daemon over a Unix socket, killed at a step and started again; storage in
//   memory.
import { afterEach, describe, expect, test } from 'vitest';
import VDI from '../../../actors/vdi/behaviour.ts';
import { nullRef, type Ref } from '../../../src/model/types.ts';
import { note } from '../../../src/rules/leftovers.ts';
import { deaths, dyingIn, simOf, startMortal } from '../../daemons/xenopsd/dying.ts';
import {
  connectClient,
  serveStorage,
  startDaemon,
  trigger,
  useBench,
  work,
} from '../../daemons/xenopsd/harness.ts';
import { fakeStorage } from '../fake-storage.ts';
import { type Bench, bench as benchOf } from '../vm-bench.ts';

const bench = useBench();
let made: Bench | undefined;
afterEach(async () => {
  await made?.close();
  made = undefined;
});

const two = 'OpaqueRef:two' as Ref<'SR'>;

/** A guest that runs, with a disk in one of two repositories. */
const running = async () => {
  await serveStorage(bench());
  const fake = fakeStorage();
  for (const sr of ['sr', 'two']) {
    fake.attached.add(sr);
    fake.volumes.set(sr, new Map());
  }
  const at = await benchOf(connectClient(bench()), {
    disks: { behaviour: VDI } as never,
    storage: fake.storage,
    rows: (tx) => {
      const host = 'OpaqueRef:host' as Ref<'host'>;
      tx.create('SR', two, { uuid: 'two', type: 'fake' });
      tx.create('PBD', 'OpaqueRef:pbd2' as Ref<'PBD'>, { SR: two, host, currently_attached: true });
      const features = ['VDI_SNAPSHOT', 'VDI_CLONE', 'VDI_MIRROR', 'VDI_CREATE', 'VDI_DELETE'];
      tx.patch('SM', 'OpaqueRef:sm' as Ref<'SM'>, { features: new Map(features.map((one) => [one, 1n])) });
    },
  });
  made = at;
  const vm = await at.newVm();
  await at.call('VM.start', vm, false, false);
  const rows = at.store.committed;
  const [drive = nullRef as Ref<'VBD'>] = rows.require('VM', vm).VBDs;
  const old = rows.require('VBD', drive).VDI;
  return {
    ...{ at, vm, drive, old },
    named: () => rows.get('VBD', drive)?.VDI,
    disks: () => [...rows.all('VDI')].map(([ref]) => ref),
    volumes: () => [...fake.volumes.values()].flatMap((all) => [...all.keys()]).length,
    leftovers: () => rows.require('VM', vm).leftovers.size,
  };
};

describe('A disk that moves while its guest runs', () => {
  test.each(deaths)('is where its guest writes, where the daemon died %s', async (death) => {
    const { died } = await startMortal(bench(), (basics, die) => dyingIn(bench(), death, basics, die));
    const { at, old, named, disks, volumes, leftovers } = await running();
    const moving = at.call('VDI.pool_migrate', old, two, new Map());
    const ended = moving.then(
      (ref) => ref,
      (error) => error.code,
    );
    await died;
    await startDaemon(bench(), {}, {}, (basics) => simOf(bench(), basics));
    const answer = await ended;
    if (death === 'exchanged') expect(named()).toBe(answer);
    else expect([answer, named()]).toEqual(['INTERNAL_ERROR', old]);
    expect([disks(), volumes(), leftovers()]).toEqual([[named()], 1, 0]);
  });

  /** What work of a process that is gone has left: a disk that is noted, and a guest that has it. */
  const unattended = async (isBusy: boolean) => {
    await startDaemon(bench());
    const all = await running();
    const { at, vm } = all;
    const fields = { name_label: '', SR: two, virtual_size: 1n << 30n, type: 'user', sharable: false };
    const rest = { read_only: false, other_config: new Map() };
    const other = (await at.call(
      'VDI.create',
      new Map(Object.entries({ ...fields, ...rest })),
    )) as Ref<'VDI'>;
    const operations = new Map(isBusy ? [['OpaqueRef:task', 'migrate_send'] as const] : []);
    await at.store.commit((tx) => {
      note(tx, vm, at.host, [other]);
      tx.patch('VM', vm, { current_operations: operations });
    });
    const location = at.store.committed.require('VDI', other).location;
    await connectClient(bench()).mirrorVbd([at.uuid(vm), 'xvda'], ['VDI', `two/${location}`], work());
    return { ...all, other };
  };

  test('is followed where nobody is there any more who would have said so', async () => {
    const { at, other, named, disks, volumes, leftovers } = await unattended(false);
    await at.until(() => named() === other && leftovers() === 0);
    expect([disks(), volumes()]).toEqual([[other], 1]);
  });

  test('is followed where its guest ends before the rows were told', async () => {
    const { at, vm, other, named } = await unattended(true);
    await trigger(bench(), 'guest-poweroff', at.uuid(vm));
    await at.until(() => at.state(vm) === 'Halted');
    expect(named()).toBe(other);
  });
});

describe('A disk that work makes for a VM', () => {
  const works = [
    ['VM.snapshot', true, ['taken', []]],
    ['VM.checkpoint', true, ['taken']],
    ['VM.suspend', true, []],
    ['VM.clone', false, ['another']],
    ['VM.copy', false, ['another', two]],
  ] as const;

  test.each(works)('by %s is noted in every commit until it is somebody’s', async (method, isLive, args) => {
    await startDaemon(bench());
    const { at, vm, leftovers } = await running();
    const rows = at.store.committed;
    if (isLive) await at.until(() => rows.require('VM', vm).allowed_operations.includes('suspend'));
    else await at.call('VM.hard_shutdown', vm);
    const strays: string[] = [];
    let noted = 0;
    const stop = at.store.watch(() => {
      noted = Math.max(noted, leftovers());
      const vms = [...rows.all('VM')].map(([, row]) => row);
      for (const [ref, { VBDs }] of rows.all('VDI')) {
        const isKnown = vms.some((row) => row.leftovers.has(ref) || row.suspend_VDI === ref);
        if (VBDs.length === 0 && !isKnown) strays.push(ref);
      }
    });
    await at.call(method, vm, ...args);
    stop();
    expect([strays, noted > 0, leftovers()]).toEqual([[], true, 0]);
  });
});
