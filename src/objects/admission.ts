import type { StateMachine, Step } from '../kernel/machine.ts';
import { Fault } from '../std/fault.ts';

/** One piece of work that somebody asked an object for. */
export interface Asked {
  readonly id: number;
  /** The row that the operation is recorded on: the actor's own, or one of the rows that it owns. */
  readonly ref: string;
  /** Name in `current_operations`; undefined: never in conflict with anything. */
  readonly operation: string | undefined;
  /** Wanted whatever becomes of a guest. */
  readonly insists?: boolean;
  /** Running operations that this one ends, as it begins or because it must wait for them. */
  readonly cuts: readonly string[];
}

/** What an object runs and what waits its turn. */
export interface Underway {
  readonly running: readonly Asked[];
  readonly waiting: readonly Asked[];
}

export type AdmissionMsg =
  | { readonly type: 'ask'; readonly asked: Asked }
  /** The work of `id` has settled, or what waited was withdrawn. */
  | { readonly type: 'ended'; readonly id: number }
  /** Something that a waiting operation waits for may be over. */
  | { readonly type: 'retry' };

export type AdmissionFx =
  | { readonly do: 'begin'; readonly asked: Asked }
  | { readonly do: 'refuse'; readonly asked: Asked; readonly fault: Fault }
  | { readonly do: 'hold'; readonly asked: Asked; readonly fault: Fault }
  | { readonly do: 'cut'; readonly id: number }
  /** Another one that waits may be admissible: decided only after the effects so far were done. */
  | { readonly do: 'again' };

export const idle: Underway = { running: [], waiting: [] };
export const waitingMax = 256;

/** Why an operation may not begin now. Pure: it looks at rows only. */
export type Refusing = (asked: Asked) => Fault | undefined;

const busy = (fault: Fault): boolean => fault.code === 'OTHER_OPERATION_IN_PROGRESS';

/**
 * Busy is not refused, it waits, first come first served for each row; what ends other work does not
 * wait behind others. Every other refusal is an answer at once.
 */
export const admission =
  (refusal: Refusing): StateMachine<Underway, AdmissionMsg, AdmissionFx> =>
  (state, message) => {
    if (message.type === 'ask') return ask(state, message.asked, refusal);
    if (message.type === 'ended') return ended(state, message.id);
    return retry(state, refusal);
  };

const cutBy = (state: Underway, asked: Asked): readonly AdmissionFx[] =>
  state.running
    .filter(
      ({ ref, operation }) => ref === asked.ref && operation !== undefined && asked.cuts.includes(operation),
    )
    .map(({ id }) => ({ do: 'cut', id }) as const);

const begin = (state: Underway, asked: Asked): Step<Underway, AdmissionFx> => [
  { ...state, running: [...state.running, asked] },
  ...cutBy(state, asked),
  { do: 'begin', asked },
];

const ask = (state: Underway, asked: Asked, refusal: Refusing): Step<Underway, AdmissionFx> => {
  const fault = refusal(asked);
  const queueing = asked.operation !== undefined && asked.cuts.length === 0;
  const behind = queueing ? state.waiting.find((other) => other.ref === asked.ref) : undefined;
  if (fault === undefined && behind === undefined) return begin(state, asked);
  if (fault !== undefined && !busy(fault)) return [state, { do: 'refuse', asked, fault }];
  if (state.waiting.length >= waitingMax) {
    return [state, { do: 'refuse', asked, fault: new Fault('TOO_MANY_PENDING_TASKS') }];
  }
  const waiting = { ...state, waiting: [...state.waiting, asked] };
  // What it must wait for ends all the sooner.
  return fault === undefined ? [waiting] : [waiting, ...cutBy(state, asked), { do: 'hold', asked, fault }];
};

const ended = (state: Underway, id: number): Step<Underway, AdmissionFx> => [
  {
    running: state.running.filter((one) => one.id !== id),
    waiting: state.waiting.filter((one) => one.id !== id),
  },
  { do: 'again' },
];

/** Takes the first waiting one that is no longer busy, and leaves the rest to the next step. */
const retry = (state: Underway, refusal: Refusing): Step<Underway, AdmissionFx> => {
  const blocked = new Map<string, AdmissionFx>();
  for (const asked of state.waiting) {
    if (blocked.has(asked.ref)) continue;
    const fault = refusal(asked);
    if (fault !== undefined && busy(fault)) {
      // What it waits for may be another operation by now.
      blocked.set(asked.ref, { do: 'hold', asked, fault });
      continue;
    }
    const rest = { ...state, waiting: state.waiting.filter((other) => other.id !== asked.id) };
    if (fault !== undefined) return [rest, { do: 'refuse', asked, fault }, { do: 'again' }];
    const [next, ...effects] = begin(rest, asked);
    return [next, ...effects, { do: 'again' }];
  }
  return [state, ...blocked.values()];
};
