import type { Log } from '../../std/log.ts';
import type { Value } from '../../std/value.ts';
import {
  type DatapathBackend,
  type DatapathHolding,
  type DatapathUse,
  openHoldings,
  type VolumeName,
  volumeNamed,
} from './datapath-holdings.ts';
import {
  accessOf,
  type DatapathRequest,
  type DatapathState,
  type DatapathStates,
  type DiskAccess,
  superstate,
} from './datapath-state.ts';
import type { StateFiles } from './state-files.ts';
import { type StorageCall, StorageError } from './storage.ts';
import type { KeyedTurns } from './turns.ts';

/**
 * Who uses which volume. Drives the backend by the difference between superstates, one operation at
 * a time for each volume. A step is noted before it and when it is done: of one that a kill or a failure
 * cut short, `setRight` makes an end before anything else happens to the volume.
 */
export interface Datapaths {
  /**
   * Answers where the volume's bytes are; a later datapath of it is told the same. `alone` refuses a
   * writer beside anybody and anybody beside a writer.
   */
  attach(use: DatapathUse, access: DiskAccess, call: StorageCall, alone?: boolean): Promise<Value>;
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

  /** All volumes that are in use. */
  held(): readonly DatapathHolding[];
  backendOf(volume: VolumeName): Value | undefined;
  statesOf(volume: VolumeName): { readonly states: DatapathStates; readonly superstate: DatapathState };
  /** Those that hold the volume; leaked ones are left out, as they end before anything else happens to it. */
  holdersOf(volume: VolumeName): readonly string[];
}

export const openDatapaths = async (given: {
  readonly backend: DatapathBackend;
  readonly files: StateFiles;
  readonly turns: KeyedTurns;
  readonly log: Log;
}): Promise<Datapaths> => {
  const { turns } = given;
  const { holdings, holdingOf, apply, end, endLeft, endAll } = await openHoldings(given);

  const inTurn = <T>(volume: VolumeName, call: StorageCall, work: () => Promise<T>): Promise<T> =>
    turns.shared(volume.sr, () => turns.alone(volumeNamed(volume), work, call.signal), call.signal);

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

    held: () => [...holdings.values()],
    backendOf: (volume) => {
      const { states, attachment } = holdingOf(volume);
      return states.size > 0 ? attachment?.backend : undefined;
    },
    statesOf: (volume) => {
      const { states } = holdingOf(volume);
      return { states, superstate: superstate(states.values()) };
    },
    holdersOf: (volume) => {
      const { states, leaked } = holdingOf(volume);
      return [...states.keys()].filter((datapath) => !leaked.has(datapath));
    },
  };
};

const refuseSharing = (states: DatapathStates, { key, datapath }: DatapathUse, access: DiskAccess): void => {
  const others = [...states].filter(([name]) => name !== datapath).map(([, state]) => state);
  const writer = access === 'RW' || accessOf(superstate(others)) === 'RW';
  if (writer && others.length > 0) throw new StorageError('VDI_IN_USE', [key, 'attach']);
};
