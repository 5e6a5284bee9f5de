// Goal: whatever is asked in whatever order, an object runs no two conflicting operations, answers
// everything once, and lets the way out through.
// Method: the pure machine, stepped with random histories.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AdmissionFx,
  type AdmissionMsg,
  type Asked,
  admission,
  idle,
  type Underway,
  waitingMax,
} from '../../src/objects/admission.ts';
import { Fault } from '../../src/std/fault.ts';

const busy = (asked: Asked): Fault =>
  new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM', asked.ref, 'start', 'task']);

/** An object whose rows are what it runs: one operation for each row, except that `end` conflicts with nothing. */
const object = () => {
  let state: Underway = idle;
  const log: AdmissionFx[] = [];
  const refused = new Set<number>();
  const machine = admission((asked) => {
    if (refused.has(asked.id)) return new Fault('VM_IS_TEMPLATE', [asked.ref, '']);
    const other = state.running.some((one) => one.ref === asked.ref && one.operation !== undefined);
    return asked.operation !== undefined && asked.operation !== 'end' && other ? busy(asked) : undefined;
  });
  const tell = (first: AdmissionMsg): void => {
    for (const inbox = [first]; inbox.length > 0; ) {
      const [next, ...effects] = machine(state, inbox.shift() as AdmissionMsg);
      state = next;
      for (const effect of effects) {
        log.push(effect);
        if (effect.do === 'again') inbox.push({ type: 'retry' });
      }
    }
  };
  return { tell, log, refused, state: () => state };
};

const asked = (id: number, operation: string | undefined = 'start', ref = 'a'): Asked => ({
  id,
  ref,
  operation,
  cuts: operation === 'end' ? ['start'] : [],
});

describe('admission', () => {
  test('lets a conflicting operation wait and begins it when the first has ended', () => {
    const vm = object();
    vm.tell({ type: 'ask', asked: asked(1) });
    vm.tell({ type: 'ask', asked: asked(2) });
    expect(vm.log.map((fx) => fx.do)).toEqual(['begin', 'hold']);
    vm.tell({ type: 'ended', id: 1 });
    expect(vm.log.map((fx) => fx.do)).toEqual(['begin', 'hold', 'again', 'begin', 'again']);
    expect(vm.state().running.map(({ id }) => id)).toEqual([2]);
  });

  test('lets the way out begin at once and cuts what it ends', () => {
    const vm = object();
    vm.tell({ type: 'ask', asked: asked(1) });
    vm.tell({ type: 'ask', asked: asked(2) });
    vm.tell({ type: 'ask', asked: asked(3, 'end') });
    expect(vm.log.slice(2)).toEqual([
      { do: 'cut', id: 1 },
      { do: 'begin', asked: asked(3, 'end') },
    ]);
  });

  test('cuts what the way out must wait for, and begins that once it has ended', () => {
    const vm = object();
    vm.tell({ type: 'ask', asked: asked(1) });
    const out: Asked = { ...asked(2), cuts: ['start'] };
    vm.tell({ type: 'ask', asked: out });
    expect(vm.log.slice(1).map((fx) => fx.do)).toEqual(['cut', 'hold']);
    vm.tell({ type: 'ended', id: 1 });
    expect(vm.state().running.map(({ id }) => id)).toEqual([2]);
  });

  test('refuses a waiting operation that has become impossible, and goes on with the next', () => {
    const vm = object();
    for (const id of [1, 2, 3]) vm.tell({ type: 'ask', asked: asked(id) });
    vm.refused.add(2);
    vm.tell({ type: 'ended', id: 1 });
    expect(vm.log.filter((fx) => fx.do === 'refuse')).toHaveLength(1);
    expect(vm.state().running.map(({ id }) => id)).toEqual([3]);
  });

  test('does not let one row’s queue hold up another row', () => {
    const vm = object();
    vm.tell({ type: 'ask', asked: asked(1) });
    vm.tell({ type: 'ask', asked: asked(2) });
    vm.tell({ type: 'ask', asked: asked(3, 'start', 'b') });
    expect(vm.state().running.map(({ id }) => id)).toEqual([1, 3]);
  });

  test('refuses with TOO_MANY_PENDING_TASKS past the limit of the queue', () => {
    const vm = object();
    for (let id = 0; id <= waitingMax; id++) vm.tell({ type: 'ask', asked: asked(id) });
    expect(vm.state().waiting).toHaveLength(waitingMax);
    vm.tell({ type: 'ask', asked: asked(9999) });
    expect(vm.log.at(-1)).toMatchObject({ do: 'refuse', fault: { code: 'TOO_MANY_PENDING_TASKS' } });
  });

  test('runs no two conflicting operations and answers everything once, in any history', () => {
    const step = fc.oneof(
      fc.record({ ask: fc.constantFrom('start', 'end', undefined), ref: fc.constantFrom('a', 'b') }),
      fc.record({ end: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const vm = object();
        let next = 0;
        for (const one of steps) {
          if ('ref' in one) vm.tell({ type: 'ask', asked: asked(next++, one.ask, one.ref) });
          else {
            const { running } = vm.state();
            const ended = running[one.end % Math.max(running.length, 1)];
            if (ended !== undefined) vm.tell({ type: 'ended', id: ended.id });
          }
          for (const ref of ['a', 'b']) {
            const starts = vm.state().running.filter((op) => op.ref === ref && op.operation === 'start');
            expect(starts.length).toBeLessThanOrEqual(1);
          }
        }
        while (vm.state().running.length > 0) vm.tell({ type: 'ended', id: vm.state().running[0]?.id ?? -1 });
        expect(vm.state().waiting).toEqual([]);
        const begun = vm.log.flatMap((fx) => (fx.do === 'begin' ? [fx.asked.id] : []));
        expect(begun.toSorted((a, b) => a - b)).toEqual(Array.from({ length: next }, (_, id) => id));
      }),
      { numRuns: 300 },
    );
  });
});
