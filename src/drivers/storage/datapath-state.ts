/**
 * Which use of a volume drives its backend, and how. A datapath is one user of a volume (a guest's
 * device, an import); the backend sees only the strongest wish of all of them, the superstate.
 * Pure functions; the values are those of the wire.
 */
export type DiskAccess = 'RO' | 'RW';

export type DatapathState = 'Detached' | readonly ['Attached' | 'Activated', DiskAccess];

/** Only datapaths that are not detached are in here. */
export type DatapathStates = ReadonlyMap<string, DatapathState>;

export type DatapathRequest = { readonly attach: DiskAccess } | 'activate' | 'deactivate' | 'detach';

export type BackendAction = {
  readonly do: 'attach' | 'activate' | 'deactivate' | 'detach';
  readonly access: DiskAccess;
};

/** The request, or what it would mean for the backend, is a step that does not exist. */
export class IllegalTransition extends Error {
  readonly from: DatapathState;
  readonly to: DatapathState;

  constructor(from: DatapathState, to: DatapathState) {
    super(`A volume that is ${shown(from)} cannot become ${shown(to)}`);
    this.name = 'IllegalTransition';
    this.from = from;
    this.to = to;
  }
}

/** For people. */
export const shown = (state: DatapathState): string => (state === 'Detached' ? state : state.join(' '));

export const accessOf = (state: DatapathState): DiskAccess | undefined =>
  state === 'Detached' ? undefined : state[1];

/** The state of one datapath after a request. */
export const stateAfter = (state: DatapathState, request: DatapathRequest): DatapathState => {
  if (typeof request === 'object') return attached(state, request.attach);
  if (state === 'Detached') {
    // Nobody knows whether to activate for reading or for writing.
    if (request === 'activate') throw new IllegalTransition(state, ['Activated', 'RO']);
    return state;
  }
  const [level, access] = state;
  if (request === 'activate') return ['Activated', access];
  if (request === 'deactivate') return ['Attached', access];
  if (level === 'Activated') throw new IllegalTransition(state, 'Detached');
  return 'Detached';
};

/** A reader may not become a writer; a writer that asks to read stays one. */
const attached = (state: DatapathState, access: DiskAccess): DatapathState => {
  if (state === 'Detached') return ['Attached', access];
  if (state[1] === 'RO' && access === 'RW') throw new IllegalTransition(state, [state[0], 'RW']);
  return state;
};

export const superstate = (states: Iterable<DatapathState>): DatapathState => {
  let level: 'Attached' | 'Activated' | undefined;
  let access: DiskAccess = 'RO';
  for (const state of states) {
    if (state === 'Detached') continue;
    level = level === 'Activated' ? level : state[0];
    access = access === 'RW' ? access : state[1];
  }
  return level === undefined ? 'Detached' : [level, access];
};

/**
 * What brings the backend from one superstate to another, which one request moves by one level. It is never
 * asked to change access in place.
 */
const actionBetween = (from: DatapathState, to: DatapathState): BackendAction | undefined => {
  if (from === 'Detached') return to === 'Detached' ? undefined : { do: 'attach', access: to[1] };
  if (to === 'Detached') return { do: 'detach', access: from[1] };
  if (from[1] !== to[1]) throw new IllegalTransition(from, to);
  if (from[0] === to[0]) return undefined;
  return { do: to[0] === 'Activated' ? 'activate' : 'deactivate', access: to[1] };
};

export interface Transition {
  readonly states: DatapathStates;
  readonly action: BackendAction | undefined;
}

/** One request of one datapath: all states after it, and what the backend has to do for it, if anything. */
export const transition = (
  states: DatapathStates,
  datapath: string,
  request: DatapathRequest,
): Transition => {
  const after = new Map(states);
  const state = stateAfter(states.get(datapath) ?? 'Detached', request);
  if (state === 'Detached') after.delete(datapath);
  else after.set(datapath, state);
  return { states: after, action: actionBetween(superstate(states.values()), superstate(after.values())) };
};

/** The requests that take a datapath all the way out. */
export const wayOut = (state: DatapathState): readonly DatapathRequest[] =>
  state === 'Detached' ? [] : state[0] === 'Attached' ? ['detach'] : ['deactivate', 'detach'];
