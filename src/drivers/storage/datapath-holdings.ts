import { DecodeFailure } from '../../std/decode-failure.ts';
import type { Log } from '../../std/log.ts';
import {
  itemsOf,
  member,
  oneOf,
  optional,
  optionalMember,
  required,
  stringOf,
  structOf,
  tupleOf,
} from '../../std/reader.ts';
import { type Struct, struct, type Value } from '../../std/value.ts';
import {
  accessOf,
  type BackendAction,
  type DatapathRequest,
  type DatapathState,
  type DatapathStates,
  type DiskAccess,
  IllegalTransition,
  transition,
  wayOut,
} from './datapath-state.ts';
import type { StateFiles } from './state-files.ts';
import type { StorageCall } from './storage.ts';

// What the volumes of this host are attached for, and the steps that change it. Nobody may take two steps on
// one volume at once.

export interface VolumeName {
  readonly sr: string;
  readonly key: string;
}

export interface DatapathUse extends VolumeName {
  readonly datapath: string;
  /** The domain that uses it, as text; `0` is this host itself. */
  readonly vm: string;
}

/** What the backend knows an attached volume by, for as long as it is. */
export interface VolumePlace {
  readonly uri: string;
  readonly domain: string;
}

export interface Attachment extends VolumePlace {
  /** What it said at attach; null while it has not. */
  readonly backend: Value;
}

export interface DatapathBackend {
  /** Changes nothing. */
  locate(use: DatapathUse, call: StorageCall): Promise<VolumePlace>;
  attach(volume: VolumeName, place: VolumePlace, access: DiskAccess, call: StorageCall): Promise<Value>;
  drive(
    volume: VolumeName,
    place: VolumePlace,
    action: Exclude<BackendAction['do'], 'attach'>,
    access: DiskAccess,
    call: StorageCall,
  ): Promise<void>;
}

export interface DatapathHolding extends VolumeName {
  readonly attachment: Attachment | undefined;
  readonly states: DatapathStates;
  readonly leaked: ReadonlySet<string>;
  /** What the backend is being asked for. Nobody knows whether it has happened, if this process ends. */
  readonly step: DatapathStep | undefined;
}

export interface DatapathStep {
  readonly action: BackendAction;
  /** Once it is done. */
  readonly states: DatapathStates;
}

/** The domain that means this host itself. */
export const HOST_DOMAIN = '0';

/** Begins the datapaths of this process itself. They end with it, and one that is left is leaked. */
export const HOST_USE = 'host/';

export interface Holdings {
  readonly holdings: ReadonlyMap<string, DatapathHolding>;
  holdingOf(volume: VolumeName): DatapathHolding;
  apply(use: DatapathUse, request: DatapathRequest, call: StorageCall): Promise<void>;
  /** Ends a datapath. Where that fails it is forgotten if `allowLeak`, else kept as leaked, and thrown. */
  end(volume: VolumeName, datapath: string, allowLeak: boolean, call: StorageCall): Promise<void>;
  /** Brings what was cut short to an end, then ends what earlier calls could not. */
  endLeft(volume: VolumeName, call: StorageCall): Promise<void>;
  endAll(volume: VolumeName, allowLeak: boolean, call: StorageCall): Promise<void>;
}

export const openHoldings = async (given: {
  readonly backend: DatapathBackend;
  readonly files: StateFiles;
  readonly log: Log;
}): Promise<Holdings> => {
  const { backend, files, log } = given;
  const holdings = new Map<string, DatapathHolding>();
  for (const [name, state] of await files.load()) holdings.set(name, readHolding(name, state));

  const holdingOf = (volume: VolumeName): DatapathHolding =>
    holdings.get(volumeNamed(volume)) ?? {
      ...volume,
      attachment: undefined,
      states: new Map(),
      leaked: new Set(),
      step: undefined,
    };

  const commit = async (holding: DatapathHolding): Promise<void> => {
    const name = volumeNamed(holding);
    const { states, step } = holding;
    if (states.size > 0 || step !== undefined) {
      const leaked = new Set([...holding.leaked].filter((datapath) => states.has(datapath)));
      const kept = { ...holding, leaked };
      await files.put(name, writeHolding(kept));
      holdings.set(name, kept);
    } else {
      await files.remove(name);
      holdings.delete(name);
    }
  };

  /**
   * What leads up is taken back: nobody may ask for it again. What leads down is asked for again, which
   * backends must allow: they may have done it.
   */
  const setRight = async (volume: VolumeName, call: StorageCall): Promise<void> => {
    const { step, ...holding } = holdingOf(volume);
    if (step === undefined || holding.attachment === undefined) return;
    const { action } = step;
    await backend.drive(volume, holding.attachment, wayBack[action.do], action.access, call);
    const states = leadsUp(action) ? holding.states : step.states;
    const attachment = states.size > 0 ? holding.attachment : undefined;
    await commit({ ...holding, states, attachment, step: undefined });
  };

  const perform = async (
    use: DatapathUse,
    { action, states }: DatapathStep,
    call: StorageCall,
  ): Promise<void> => {
    const before = holdingOf(use);
    const place = before.attachment ?? { ...(await backend.locate(use, call)), backend: null };
    await commit({ ...before, attachment: place, step: { action, states } });
    let attachment: Attachment | undefined = place;
    if (action.do === 'attach') {
      attachment = { ...place, backend: await backend.attach(use, place, action.access, call) };
    } else {
      await backend.drive(use, place, action.do, action.access, call);
    }
    if (states.size === 0) attachment = undefined;
    await commit({ ...before, states, attachment, step: undefined });
  };

  const apply = async (use: DatapathUse, request: DatapathRequest, call: StorageCall): Promise<void> => {
    const holding = holdingOf(use);
    const { states, action } = transition(holding.states, use.datapath, request);
    if (action === undefined) return commit({ ...holding, states });
    try {
      await perform(use, { action, states }, call);
    } catch (error) {
      if (!leadsUp(action)) throw error;
      // Whatever ended the step must not end this.
      await setRight(use, { debugInfo: call.debugInfo }).catch((cause) => {
        log.warn({ ...use, error: cause }, `a failed ${action.do} could not be taken back yet`);
      });
      throw error;
    }
  };

  const drop = (holding: DatapathHolding): Promise<void> =>
    commit({ ...holding, states: new Map(), step: undefined });

  const end = async (volume: VolumeName, datapath: string, allowLeak: boolean, call: StorageCall) => {
    try {
      await setRight(volume, call);
      for (const request of wayOut(holdingOf(volume).states.get(datapath) ?? 'Detached')) {
        await apply({ ...volume, datapath, vm: HOST_DOMAIN }, request, call);
      }
    } catch (error) {
      log.warn({ ...volume, datapath, allowLeak, error }, 'a datapath could not be ended');
      const holding = holdingOf(volume);
      const isLast = [...holding.states.keys()].every((one) => one === datapath);
      if (allowLeak && isLast) return drop(holding);
      // As long as others hold the volume it matters to them where the backend is.
      await commit({ ...holding, leaked: new Set([...holding.leaked, datapath]) });
      if (!allowLeak) throw error;
    }
  };

  const endLeft = async (volume: VolumeName, call: StorageCall): Promise<void> => {
    await setRight(volume, call);
    const { states, leaked } = holdingOf(volume);
    for (const datapath of readersFirst(states).filter((one) => leaked.has(one))) {
      await end(volume, datapath, false, call).catch((error) => {
        // It has to wait for those that read beside it, and they must not wait for it.
        if (!(error instanceof IllegalTransition)) throw error;
      });
    }
  };

  const endAll = async (volume: VolumeName, allowLeak: boolean, call: StorageCall): Promise<void> => {
    await setRight(volume, call).catch((error) => {
      if (!allowLeak) throw error;
      return commit({ ...holdingOf(volume), step: undefined });
    });
    for (const datapath of readersFirst(holdingOf(volume).states)) {
      await end(volume, datapath, allowLeak, call);
    }
    if (allowLeak) await drop(holdingOf(volume));
  };

  return { holdings, holdingOf, apply, end, endLeft, endAll };
};

const leadsUp = ({ do: action }: BackendAction): boolean => action === 'attach' || action === 'activate';

const wayBack = {
  attach: 'detach',
  activate: 'deactivate',
  deactivate: 'deactivate',
  detach: 'detach',
} as const satisfies Record<BackendAction['do'], BackendAction['do']>;

/** Without its writer the volume would have to change access in place, under those who read. */
const readersFirst = (states: DatapathStates): readonly string[] => {
  const those = (access: DiskAccess): readonly string[] =>
    [...states].filter(([, state]) => accessOf(state) === access).map(([datapath]) => datapath);
  return [...those('RO'), ...those('RW')];
};

export const volumeNamed = ({ sr, key }: VolumeName): string => `${sr}/${key}`;

const writeHolding = ({ attachment, states, leaked, step }: DatapathHolding): Struct =>
  struct({
    attachment: attachment && struct({ ...attachment }),
    states: new Map<string, Value>(states),
    leaked: [...leaked],
    step: step && struct({ ...step.action, states: new Map<string, Value>(step.states) }),
  });

const readHolding = (name: string, state: Struct): DatapathHolding => {
  try {
    const slash = name.indexOf('/');
    const attachment = optional(state, 'attachment', readAttachment);
    const states = readStates(state);
    const left = [...states.keys()].filter((datapath) => datapath.startsWith(HOST_USE));
    return {
      sr: name.slice(0, slash),
      key: name.slice(slash + 1),
      attachment,
      states,
      leaked: new Set([...itemsOf(member(state, 'leaked'), stringOf, 'leaked'), ...left]),
      // Versions before wrote a step only for an attach, as an attachment without datapaths.
      step: optional(state, 'step', readStep) ?? (states.size === 0 ? cutAttach : undefined),
    };
  } catch (error) {
    if (!(error instanceof DecodeFailure)) throw error;
    throw new Error(
      `The state of volume ${name} is not what this version writes (${error.message}); remove its state file`,
    );
  }
};

const cutAttach: DatapathStep = { action: { do: 'attach', access: 'RO' }, states: new Map() };

const readStep = (value: unknown): DatapathStep => ({
  action: {
    do: oneOf(member(value, 'do'), ['attach', 'activate', 'deactivate', 'detach'], 'do'),
    access: oneOf(member(value, 'access'), ['RO', 'RW'], 'access'),
  },
  states: readStates(value),
});

const readStates = (value: unknown): DatapathStates =>
  new Map(
    [...structOf(member(value, 'states'), 'states')].map(([name, state]) => [name, readState(state, name)]),
  );

const readState = (value: unknown, what: string): DatapathState => {
  if (value === 'Detached') return value;
  const [how, access] = tupleOf(value, 2, what);
  return [oneOf(how, ['Attached', 'Activated'], what), oneOf(access, ['RO', 'RW'], what)];
};

const readAttachment = (value: unknown): Attachment => ({
  uri: required(value, 'uri', stringOf),
  domain: required(value, 'domain', stringOf),
  backend: optionalMember(value, 'backend') ?? null,
});
