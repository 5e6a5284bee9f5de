// Goal: whatever datapaths ask, the backend is always exactly where the strongest of them needs it.
// Method: random request sequences against a fold over all states and a backend that only counts.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  accessOf,
  type BackendAction,
  type DatapathRequest,
  type DatapathState,
  type DatapathStates,
  IllegalTransition,
  stateAfter,
  superstate,
  transition,
  wayOut,
} from '../../../src/drivers/storage/datapath-state.ts';

const requests = fc.oneof(
  fc.constantFrom<DatapathRequest>('activate', 'deactivate', 'detach'),
  fc.constantFrom<DatapathRequest>({ attach: 'RO' }, { attach: 'RW' }),
);
const sequences = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), requests), { maxLength: 60 });

/** A backend that refuses whatever is not the next step from where it is. */
const backend = () => {
  let state: DatapathState = 'Detached';
  const counts = { attach: 0, activate: 0, deactivate: 0, detach: 0 };
  return {
    counts,
    state: () => state,
    act: ({ do: action, access }: BackendAction) => {
      counts[action] += 1;
      const before = state;
      const expected = {
        attach: 'Detached',
        activate: 'Attached',
        deactivate: 'Activated',
        detach: 'Attached',
      };
      expect(before === 'Detached' ? before : before[0]).toBe(expected[action]);
      if (before !== 'Detached') expect(before[1]).toBe(access);
      if (action === 'detach') state = 'Detached';
      else state = [action === 'activate' ? 'Activated' : 'Attached', access];
    },
  };
};

const strongest = (states: DatapathStates): DatapathState => {
  const all = [...states.values()];
  const access = all.some((state) => accessOf(state) === 'RW') ? 'RW' : 'RO';
  if (all.some((state) => state[0] === 'Activated')) return ['Activated', access];
  return all.length > 0 ? ['Attached', access] : 'Detached';
};

describe('datapaths of a volume', () => {
  it('keep the backend at the superstate, and can always be ended with balanced calls', () => {
    fc.assert(
      fc.property(sequences, (sequence) => {
        const driven = backend();
        let states: DatapathStates = new Map();
        const run = (datapath: string, request: DatapathRequest): void => {
          const next = transition(states, datapath, request);
          if (next.action !== undefined) driven.act(next.action);
          states = next.states;
          expect(superstate(states.values())).toEqual(strongest(states));
          expect(driven.state()).toEqual(strongest(states));
        };
        for (const [datapath, request] of sequence) {
          try {
            run(datapath, request);
          } catch (error) {
            if (!(error instanceof IllegalTransition)) throw error;
            expect(driven.state()).toEqual(strongest(states));
          }
        }
        const readersFirst = [...states].sort(([, a], [, b]) => (a[1] ?? '').localeCompare(b[1] ?? ''));
        for (const [datapath, state] of readersFirst)
          for (const request of wayOut(state)) run(datapath, request);
        expect(driven.state()).toBe('Detached');
        expect(driven.counts.attach).toBe(driven.counts.detach);
        expect(driven.counts.activate).toBe(driven.counts.deactivate);
      }),
      { numRuns: 500 },
    );
  });

  it.each<[DatapathState, DatapathRequest, DatapathState | 'illegal']>([
    ['Detached', { attach: 'RO' }, ['Attached', 'RO']],
    ['Detached', 'activate', 'illegal'],
    ['Detached', 'deactivate', 'Detached'],
    ['Detached', 'detach', 'Detached'],
    [['Attached', 'RO'], { attach: 'RO' }, ['Attached', 'RO']],
    [['Attached', 'RO'], { attach: 'RW' }, 'illegal'],
    [['Attached', 'RW'], { attach: 'RO' }, ['Attached', 'RW']],
    [['Attached', 'RW'], 'activate', ['Activated', 'RW']],
    [['Activated', 'RW'], { attach: 'RW' }, ['Activated', 'RW']],
    [['Activated', 'RO'], 'activate', ['Activated', 'RO']],
    [['Activated', 'RO'], 'deactivate', ['Attached', 'RO']],
    [['Activated', 'RO'], 'detach', 'illegal'],
  ])('go from %j with %j to %j', (state, request, expected) => {
    if (expected === 'illegal') expect(() => stateAfter(state, request)).toThrow(IllegalTransition);
    else expect(stateAfter(state, request)).toEqual(expected);
  });

  it('refuse a writer where readers are, because the backend cannot change in place', () => {
    const { states } = transition(new Map(), 'reader', { attach: 'RO' });
    expect(() => transition(states, 'writer', { attach: 'RW' })).toThrow(
      /Attached RO cannot become Attached RW/,
    );
  });
});
