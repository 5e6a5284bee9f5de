// Goal: whoever follows the updates hears of every change exactly as late as the interface allows, and the
// log of them stays as small as what it tells of.
// Method: properties over random histories against a plain model; a clock that is moved by hand.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { updatesLog } from '../../../src/daemons/xenopsd/updates.ts';
import { updateKey, type XenopsUpdate } from '../../../src/rpc/xenops/tasks.ts';
import { manualClock } from '../../manual-clock.ts';

const never = new AbortController().signal;
/** Of a reader that does not wait. */
const atOnce = AbortSignal.abort();
const vm = (id: string): XenopsUpdate => ['Vm', id];
const keys = (updates: readonly XenopsUpdate[]): readonly string[] => updates.map(updateKey);

test('a reader that comes back with its number hears the latest change of each object, oldest first', async () => {
  const changes = fc.array(
    fc.constantFrom<XenopsUpdate>(vm('a'), vm('b'), ['Task', '1'], ['Vbd', ['a', 'x']]),
  );
  await fc.assert(
    fc.asyncProperty(changes, changes, async (before, after) => {
      const updates = updatesLog(manualClock());
      for (const what of before) updates.add(what);
      const from = updates.lastId();
      for (const what of after) updates.add(what);
      const expected = after.filter((what, index) => !keys(after.slice(index + 1)).includes(updateKey(what)));
      const found = await updates.get(from, undefined, atOnce);
      expect(keys(found.updates)).toEqual(keys(expected));
      expect(found.next).toBe(before.length + after.length);
    }),
  );
});

test('a reader without a number hears of everything', async () => {
  const updates = updatesLog(manualClock());
  updates.add(vm('a'));
  updates.add(vm('b'));
  updates.add(vm('a'));
  expect(keys((await updates.get(undefined, undefined, atOnce)).updates)).toEqual(['Vm/b', 'Vm/a']);
});

test('a number of the future is one of an earlier daemon: the reader starts over', async () => {
  const updates = updatesLog(manualClock());
  updates.add(vm('a'));
  expect(await updates.get(57, undefined, never)).toEqual({ barriers: [], updates: [vm('a')], next: 1 });
});

test('a reader waits for news, for its timeout or for its caller to go away', async () => {
  const clock = manualClock();
  const updates = updatesLog(clock);
  const news = updates.get(0, 30_000, never);
  updates.add(vm('a'));
  expect((await news).next).toBe(1);
  const silence = updates.get(1, 30_000, never);
  await clock.advance(30_000);
  expect(await silence).toEqual({ barriers: [], updates: [], next: 1 });
  const gone = new AbortController();
  const nobody = updates.get(1, undefined, gone.signal);
  gone.abort();
  expect((await nobody).updates).toEqual([]);
});

test('a barrier brings what was pending for its VM when it was set, and nothing of others or of later', async () => {
  const updates = updatesLog(manualClock());
  updates.add(vm('a'));
  const from = updates.lastId();
  updates.add(['Vbd', ['a', 'x']]);
  updates.add(vm('b'));
  updates.add(['Task', '1']);
  updates.injectBarrier('a', 7);
  updates.add(vm('a'));
  expect((await updates.get(from, undefined, atOnce)).barriers).toEqual([
    { id: 7, updates: [['Vbd', ['a', 'x']]] },
  ]);
  expect((await updates.get(undefined, undefined, atOnce)).barriers).toEqual([
    { id: 7, updates: [vm('a'), ['Vbd', ['a', 'x']]] },
  ]);
  updates.removeBarrier(7);
  expect((await updates.get(from, undefined, atOnce)).barriers).toEqual([]);
});

test('a barrier alone wakes a reader', async () => {
  const updates = updatesLog(manualClock());
  const news = updates.get(0, undefined, never);
  updates.injectBarrier('a', 1);
  expect(await news).toEqual({ barriers: [{ id: 1, updates: [] }], updates: [], next: 1 });
});

test('what is gone is told, until too much is gone', async () => {
  const updates = updatesLog(manualClock(), { goneMax: 2, waitersMax: 10, barriersMax: 10 });
  for (const id of ['a', 'b', 'c']) updates.gone(vm(id));
  expect(keys((await updates.get(undefined, undefined, atOnce)).updates)).toEqual(['Vm/b', 'Vm/c']);
});

test('what came back after it was gone is not forgotten with it', async () => {
  const updates = updatesLog(manualClock(), { goneMax: 1, waitersMax: 10, barriersMax: 10 });
  updates.gone(vm('a'));
  updates.add(vm('a'));
  updates.gone(vm('b'));
  updates.gone(vm('c'));
  expect(keys((await updates.get(undefined, undefined, atOnce)).updates)).toEqual(['Vm/a', 'Vm/c']);
});

test('too many readers and too many barriers are refused', async () => {
  const updates = updatesLog(manualClock(), { goneMax: 1, waitersMax: 1, barriersMax: 1 });
  const first = updates.get(0, undefined, never);
  await expect(updates.get(0, undefined, never)).rejects.toMatchObject({ tag: 'Internal_error' });
  updates.injectBarrier('a', 1);
  await first;
  expect(() => updates.injectBarrier('a', 2)).toThrow('barriers');
});
