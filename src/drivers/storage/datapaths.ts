import type { Log } from '../../std/log.ts';
import { isStruct, type Struct, struct, type Value } from '../../std/value.ts';
import {
  type Access,
  accessOf,
  type BackendAction,
  type DatapathRequest,
  type DatapathState,
  type DatapathStates,
  superstate,
  transition,
  wayOut,
} from './datapath-state.ts';
import type { StateFiles } from './state-files.ts';
import { type StorageCall, StorageError } from './storage.ts';
import type { Turns } from './turns.ts';

/**
 * Who uses which volume. Drives the backend by the difference between superstates, one operation at
 * a time for each volume. The effect comes first and the note of it second: after a kill in between,
 * the same effect is asked for again, which backends must allow. An attach is noted before as well, so
 * that one cut short, which nobody may ask for again, is taken back.
 */
export interface Datapaths {
  /**
   * Answers where the volume's bytes are; a later datapath of it is told the same. `alone` refuses a
   * writer beside anybody and anybody beside a writer.
   */
  attach(use: DatapathUse, access: Access, call: StorageCall, alone?: boolean): Promise<Value>;
  activate(use: DatapathUse, call: StorageCall): Promise<void>;
  deactivate(use: DatapathUse, call: StorageCall): Promise<void>;
  detach(use: DatapathUse, call: StorageCall): Promise<void>;
  /**
   * Ends a datapath on every volume, or on one. Where that fails it is leaked: forgotten if
   * `allowLeak`, else kept, tried again before anything else happens to the volume, and thrown.
   */
  destroy(datapath: string, allowLeak: boolean, call: StorageCall, volume?: VolumeName): Promise<void>;

  /** Runs work on a volume that must not overlap with its datapaths' changes. */
  withVolume<T>(volume: VolumeName, call: StorageCall, work: () => Promise<T>): Promise<T>;
  /** Ends every datapath of the volume first. */
  withFreeVolume<T>(volume: VolumeName, call: StorageCall, work: () => Promise<T>): Promise<T>;
  withSr<T>(sr: string, call: StorageCall, work: () => Promise<T>): Promise<T>;
  /** Waits for all work of the SR, ends every datapath of it whatever happens, then runs the work. */
  withFreeSr<T>(sr: string, call: StorageCall, work: () => Promise<T>): Promise<T>;

  backendOf(volume: VolumeName): Value | undefined;
  statesOf(volume: VolumeName): { readonly states: DatapathStates; readonly superstate: DatapathState };
}

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
  attach(place: VolumePlace, call: StorageCall): Promise<Value>;
  drive(
    place: VolumePlace,
    action: Exclude<BackendAction['do'], 'attach'>,
    access: Access,
    call: StorageCall,
  ): Promise<void>;
}

/** An attachment without datapaths is an attach that was cut short. */
interface Holding extends VolumeName {
  readonly attachment: Attachment | undefined;
  readonly states: DatapathStates;
  readonly leaked: ReadonlySet<string>;
}

export const openDatapaths = async (given: {
  readonly backend: DatapathBackend;
  readonly files: StateFiles;
  readonly turns: Turns;
  readonly log: Log;
}): Promise<Datapaths> => {
  const { backend, files, turns, log } = given;
  const holdings = new Map<string, Holding>();
  for (const [name, state] of await files.load()) holdings.set(name, readHolding(name, state));

  const holdingOf = (volume: VolumeName): Holding =>
    holdings.get(nameOf(volume)) ?? {
      ...volume,
      attachment: undefined,
      states: new Map(),
      leaked: new Set(),
    };

  const commit = async (holding: Holding): Promise<void> => {
    const name = nameOf(holding);
    if (holding.states.size > 0 || holding.attachment !== undefined) {
      await files.put(name, writeHolding(holding));
      holdings.set(name, holding);
    } else {
      await files.remove(name);
      holdings.delete(name);
    }
  };

  const attach = async (use: DatapathUse, call: StorageCall): Promise<Attachment> => {
    const place = await backend.locate(use, call);
    await commit({ ...holdingOf(use), attachment: { ...place, backend: null } });
    try {
      return { ...place, backend: await backend.attach(place, call) };
    } catch (error) {
      // Whatever ended the attach must not end this.
      await takeBack(use, { debugInfo: call.debugInfo }).catch((cause) => {
        log.warn({ ...use, error: cause }, 'a failed attach could not be taken back yet');
      });
      throw error;
    }
  };

  const takeBack = async (volume: VolumeName, call: StorageCall): Promise<void> => {
    const holding = holdingOf(volume);
    if (holding.attachment === undefined || holding.states.size > 0) return;
    await backend.drive(holding.attachment, 'detach', 'RO', call);
    await commit({ ...holding, attachment: undefined });
  };

  const apply = async (use: DatapathUse, request: DatapathRequest, call: StorageCall): Promise<void> => {
    const holding = holdingOf(use);
    const { states, actions } = transition(holding.states, use.datapath, request);
    let { attachment } = holding;
    for (const { do: action, access } of actions) {
      if (action === 'attach') attachment = await attach(use, call);
      else if (attachment !== undefined) await backend.drive(attachment, action, access, call);
    }
    const leaked = new Set([...holding.leaked].filter((datapath) => states.has(datapath)));
    await commit({ ...holding, states, leaked, attachment: states.size > 0 ? attachment : undefined });
  };

  const forget = (volume: VolumeName, datapath: string): Promise<void> => {
    const holding = holdingOf(volume);
    const states = new Map(holding.states);
    states.delete(datapath);
    return commit({ ...holding, states, attachment: states.size > 0 ? holding.attachment : undefined });
  };

  const end = async (volume: VolumeName, datapath: string, allowLeak: boolean, call: StorageCall) => {
    try {
      for (const request of wayOut(holdingOf(volume).states.get(datapath) ?? 'Detached')) {
        await apply({ ...volume, datapath, vm: HOST_DOMAIN }, request, call);
      }
    } catch (error) {
      log.warn({ ...volume, datapath, allowLeak, error }, 'a datapath could not be ended');
      if (allowLeak) return forget(volume, datapath);
      const holding = holdingOf(volume);
      await commit({ ...holding, leaked: new Set([...holding.leaked, datapath]) });
      throw error;
    }
  };

  const endLeft = async (volume: VolumeName, call: StorageCall): Promise<void> => {
    await takeBack(volume, call);
    for (const datapath of holdingOf(volume).leaked) await end(volume, datapath, false, call);
  };

  /** Readers first: without its writer the volume would have to change access in place. */
  const endAll = async (volume: VolumeName, allowLeak: boolean, call: StorageCall): Promise<void> => {
    await takeBack(volume, call).catch((error) => {
      if (!allowLeak) throw error;
      return commit({ ...holdingOf(volume), attachment: undefined });
    });
    const all = [...holdingOf(volume).states];
    const readers = all.filter(([, state]) => accessOf(state) === 'RO');
    const writers = all.filter(([, state]) => accessOf(state) === 'RW');
    for (const [datapath] of [...readers, ...writers]) await end(volume, datapath, allowLeak, call);
  };

  const inTurn = <T>(volume: VolumeName, call: StorageCall, work: () => Promise<T>): Promise<T> =>
    turns.shared(volume.sr, () => turns.alone(nameOf(volume), work, call.signal), call.signal);

  const withVolume: Datapaths['withVolume'] = (volume, call, work) =>
    inTurn(volume, call, async () => {
      await endLeft(volume, call);
      return work();
    });

  const change = (use: DatapathUse, request: DatapathRequest, call: StorageCall): Promise<void> =>
    withVolume(use, call, () => apply(use, request, call));

  return {
    attach: (use, access, call, alone = false) =>
      withVolume(use, call, async () => {
        if (alone) refuseSharing(holdingOf(use).states, use, access);
        await apply(use, { attach: access }, call);
        return holdingOf(use).attachment?.backend ?? null;
      }),
    activate: (use, call) => change(use, 'activate', call),
    deactivate: (use, call) => change(use, 'deactivate', call),
    detach: (use, call) => change(use, 'detach', call),

    destroy: async (datapath, allowLeak, call, volume) => {
      const failures: unknown[] = [];
      const chosen = volume === undefined ? [...holdings.values()] : [holdingOf(volume)];
      for (const holding of chosen.filter(({ states }) => states.has(datapath))) {
        await inTurn(holding, call, () => end(holding, datapath, allowLeak, call)).catch((error) =>
          failures.push(error),
        );
      }
      if (failures.length > 0) throw failures[0];
    },

    withVolume,
    withFreeVolume: (volume, call, work) =>
      inTurn(volume, call, async () => {
        await endAll(volume, false, call);
        return work();
      }),
    withSr: (sr, call, work) => turns.shared(sr, work, call.signal),
    withFreeSr: (sr, call, work) =>
      turns.alone(
        sr,
        async () => {
          const held = [...holdings.values()].filter((holding) => holding.sr === sr);
          for (const volume of held) await endAll(volume, true, call);
          return work();
        },
        call.signal,
      ),

    backendOf: (volume) => holdings.get(nameOf(volume))?.attachment?.backend,
    statesOf: (volume) => {
      const { states } = holdingOf(volume);
      return { states, superstate: superstate(states.values()) };
    },
  };
};

/** The domain that means this host itself. */
export const HOST_DOMAIN = '0';

const refuseSharing = (states: DatapathStates, { key, datapath }: DatapathUse, access: Access): void => {
  const others = [...states].filter(([name]) => name !== datapath).map(([, state]) => state);
  const writer = access === 'RW' || accessOf(superstate(others)) === 'RW';
  if (writer && others.length > 0) throw new StorageError('VDI_IN_USE', [key, 'attach']);
};

const nameOf = ({ sr, key }: VolumeName): string => `${sr}/${key}`;

const writeHolding = ({ attachment, states, leaked }: Holding): Struct =>
  struct({
    attachment: attachment && struct({ ...attachment }),
    states: new Map<string, Value>(states),
    leaked: [...leaked],
  });

const readHolding = (name: string, state: Struct): Holding => {
  const slash = name.indexOf('/');
  const attachment = state.get('attachment');
  const states = state.get('states');
  const leaked = state.get('leaked');
  if (slash < 0 || !isStruct(states) || !Array.isArray(leaked)) {
    throw new Error(`The state of volume ${name} is not what this version writes; remove its state file`);
  }
  return {
    sr: name.slice(0, slash),
    key: name.slice(slash + 1),
    attachment: isStruct(attachment) ? (Object.fromEntries(attachment) as unknown as Attachment) : undefined,
    states: states as DatapathStates as Map<string, DatapathState>,
    leaked: new Set(leaked as string[]),
  };
};
