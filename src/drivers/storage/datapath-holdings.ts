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

/** An attachment without datapaths is an attach that was cut short. */
export interface DatapathHolding extends VolumeName {
  readonly attachment: Attachment | undefined;
  readonly states: DatapathStates;
  readonly leaked: ReadonlySet<string>;
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
  /** Ends what earlier calls could not. */
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
    };

  const commit = async (holding: DatapathHolding): Promise<void> => {
    const name = volumeNamed(holding);
    if (holding.states.size > 0 || holding.attachment !== undefined) {
      await files.put(name, writeHolding(holding));
      holdings.set(name, holding);
    } else {
      await files.remove(name);
      holdings.delete(name);
    }
  };

  const attach = async (use: DatapathUse, access: DiskAccess, call: StorageCall): Promise<Attachment> => {
    const place = await backend.locate(use, call);
    await commit({ ...holdingOf(use), attachment: { ...place, backend: null } });
    try {
      return { ...place, backend: await backend.attach(use, place, access, call) };
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
    await backend.drive(volume, holding.attachment, 'detach', 'RO', call);
    await commit({ ...holding, attachment: undefined });
  };

  const apply = async (use: DatapathUse, request: DatapathRequest, call: StorageCall): Promise<void> => {
    const holding = holdingOf(use);
    const { states, actions } = transition(holding.states, use.datapath, request);
    let { attachment } = holding;
    for (const { do: action, access } of actions) {
      if (action === 'attach') attachment = await attach(use, access, call);
      else if (attachment !== undefined) await backend.drive(use, attachment, action, access, call);
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

  return { holdings, holdingOf, apply, end, endLeft, endAll };
};

export const volumeNamed = ({ sr, key }: VolumeName): string => `${sr}/${key}`;

const writeHolding = ({ attachment, states, leaked }: DatapathHolding): Struct =>
  struct({
    attachment: attachment && struct({ ...attachment }),
    states: new Map<string, Value>(states),
    leaked: [...leaked],
  });

const readHolding = (name: string, state: Struct): DatapathHolding => {
  try {
    const slash = name.indexOf('/');
    const attachment = optional(state, 'attachment', readAttachment);
    const states = [...structOf(member(state, 'states'), 'states')];
    const left = states.map(([datapath]) => datapath).filter((datapath) => datapath.startsWith(HOST_USE));
    return {
      sr: name.slice(0, slash),
      key: name.slice(slash + 1),
      attachment,
      states: new Map(states.map(([datapath, one]) => [datapath, readState(one, datapath)])),
      leaked: new Set([...itemsOf(member(state, 'leaked'), stringOf, 'leaked'), ...left]),
    };
  } catch (error) {
    if (!(error instanceof DecodeFailure)) throw error;
    throw new Error(
      `The state of volume ${name} is not what this version writes (${error.message}); remove its state file`,
    );
  }
};

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
