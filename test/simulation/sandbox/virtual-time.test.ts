// Goal: the whole runtime, with its actors, store and drivers, does the same in virtual time for the same seed.
// Method: a simulated pool with slow operations, a lost host and calls that fail, run twice, every change told.
import { expect, test } from 'vitest';
import { nodeTurns } from '../../../src/drivers/node/turns.ts';
import type { Ref } from '../../../src/model/types.ts';
import { loopOf } from '../../../src/simulation/loop.ts';
import { seededRandom } from '../../../src/simulation/random.ts';
import { sandboxOf } from '../../../src/simulation/sandbox/sandbox.ts';
import { traceOf } from '../../../src/simulation/trace.ts';
import { virtualClock } from '../../../src/simulation/virtual-clock.ts';
import { silentLog } from '../../../src/std/log.ts';

const runOf = async (seed: string) => {
  const trace = traceOf();
  const clock = virtualClock(0, trace);
  const loop = loopOf({ clock, turns: nodeTurns });
  const pool = await loop.finish(
    sandboxOf({
      ...{
        size: { hosts: 4, vms: 40, srs: 2 },
        seed,
        name: 'test',
        latencyMs: [10, 2_000],
        clock,
        log: silentLog,
      },
      ...{ address: '127.0.0.1', authority: () => '127.0.0.1', version: '1' },
      credentials: { verify: async () => true, setPassword: async () => {} },
    }),
  );
  pool.store.watch((changes) => {
    for (const { entry, after } of changes)
      trace.note('row', entry.cls, entry.ref, after?.modified ?? 'gone');
  });
  const random = seededRandom(seed).split('calls');
  const vms = [...pool.store.latest.all('VM')].filter(([, vm]) => !vm.is_a_template && !vm.is_control_domain);
  const call = (method: string, self: Ref, args: object): Promise<void> =>
    pool.coordinator.invoker.call(method as never, self as never, args as never).then(
      () => trace.note(method, self, 'done'),
      (error: { code?: string }) => trace.note(method, self, error.code ?? String(error)),
    );
  const options = new Map([['live', 'true']]);
  const actOn = async (vm: Ref<'VM'>): Promise<void> => {
    await call('VM.start', vm, { start_paused: false, force: false });
    await call('VM.pool_migrate', vm, { host: random.pick(pool.hosts).ref, options });
    await call('VM.clean_shutdown', vm, {});
  };
  clock.after(5_000, () => pool.down('host-04'));
  clock.after(60_000, () => void pool.up('host-04'));
  await loop.finish(Promise.all(vms.map(([vm]) => actOn(vm))));
  await loop.run({ untilMs: clock.monotonicMs() + 120_000 });
  const halted = vms.filter(([vm]) => pool.store.latest.require('VM', vm).power_state === 'Halted').length;
  await pool.close();
  return { digest: trace.digest(), notes: trace.count, halted };
};

test('a pool with a seed does the same twice, and another seed does something else', async () => {
  const [one, again, other] = [await runOf('1'), await runOf('1'), await runOf('2')];
  expect(again).toEqual(one);
  expect(other.digest).not.toBe(one.digest);
  expect(one.notes).toBeGreaterThan(1_000);
  expect(one.halted).toBe(40);
}, 120_000);
