import { variant } from '../../codec/rpclib.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { optionalMember, required, stringOf, textsOf } from '../../std/reader.ts';
import { struct, type Value } from '../../std/value.ts';
import type { SmRows, SmSr } from '../sm-rows.ts';
import type { AttachedSrs } from './attached-srs.ts';
import type { DatapathBackend, VolumeName } from './datapath-holdings.ts';
import type { Datapaths } from './datapaths.ts';
import type { DriverKind } from './driver-kind.ts';
import type { SmCall } from './sm-call.ts';
import { requiredDriver, type SmDrivers } from './sm-drivers.ts';
import {
  type ChangeTracking,
  type NewVolume,
  type StorageCall,
  StorageError,
  type Volume,
} from './storage.ts';
import type { KeyedTurns } from './turns.ts';

/** Runs one call of a driver. */
export type RunSm = (path: string, request: SmCall, call: StorageCall) => Promise<Value>;

interface SmGiven {
  readonly drivers: SmDrivers;
  readonly rows: SmRows;
  readonly srs: AttachedSrs;
  readonly turns: KeyedTurns;
  readonly run: RunSm;
}

/** What a call is about and what it says beside. */
interface About {
  readonly command: string;
  readonly args?: readonly string[];
  readonly more?: Partial<SmCall>;
  /** Of what is not in the rows yet. */
  readonly configuration?: ReadonlyMap<string, string>;
}

/** Drivers of one host are attached, detached and probed one after the other. */
const oneAtATime = 'attach, detach and probe of drivers';

const asker = ({ drivers, rows, srs, run }: SmGiven) => {
  /** A session for each call: what is left of a driver afterwards has no rights. */
  const ask = async (type: string, sr: string | undefined, about: About, call: StorageCall) => {
    const path = requiredDriver(await drivers.find(type), type);
    const known = sr === undefined ? undefined : requireSr(sr);
    const config = about.configuration ?? known?.configuration ?? new Map<string, string>();
    const { session, end } = rows.lend(sr);
    const cache = rows.localCache();
    try {
      const request: SmCall = {
        host_ref: rows.host(),
        command: about.command,
        args: about.args ?? [],
        device_config: new Map([...config, ['SRmaster', String(known?.isMaster ?? true)]]),
        session_ref: session,
        ...(known !== undefined && { sr_ref: known.ref, sr_uuid: sr as string }),
        ...(call.task !== undefined && { subtask_of: call.task }),
        ...(cache !== undefined && { local_cache_sr: cache }),
        ...about.more,
      };
      return await run(path, request, call);
    } finally {
      end();
    }
  };

  const requireSr = (sr: string): SmSr => {
    const known = rows.sr(sr);
    if (known === undefined) throw new StorageError('SR_NOT_ATTACHED', [sr]);
    return known;
  };
  const requireVdi = (sr: string, key: string) => {
    const known = rows.vdi(sr, key);
    if (known === undefined) throw new StorageError('VDI_MISSING', [sr, key]);
    return known;
  };

  return {
    requireSr,
    requireVdi,
    ofType: ask,
    onSr: async (sr: string, about: About, call: StorageCall) => ask(srs.typeOf(sr), sr, about, call),
    onVdi: async ({ sr, key }: VolumeName, about: About, call: StorageCall) => {
      const { ref, uuid, onBoot, allowsCaching } = requireVdi(sr, key);
      const more = {
        vdi_ref: ref,
        vdi_location: key,
        vdi_uuid: uuid,
        vdi_on_boot: onBoot,
        vdi_allow_caching: String(allowsCaching),
        ...about.more,
      };
      return ask(srs.typeOf(sr), sr, { ...about, more }, call);
    },
  };
};

type Asker = ReturnType<typeof asker>;

/** Storage by drivers of SMAPIv1. */
export const smStorage = (given: SmGiven & { readonly datapaths: Datapaths }): DriverKind => {
  const ask = asker(given);
  return {
    ...srMethods(given, ask),
    ...volumeMethods(given, ask),
    tracking: trackingOf(given.datapaths, ask),
  };
};

type SrMethods = Omit<DriverKind, keyof ReturnType<typeof volumeMethods> | 'tracking'>;

const srMethods = (
  { rows, srs, turns, datapaths, drivers }: SmGiven & { readonly datapaths: Datapaths },
  ask: Asker,
): SrMethods => {
  const alone = <T>(call: StorageCall, work: () => Promise<T>): Promise<T> =>
    turns.alone(oneAtATime, work, call.signal);
  const statSr = async (sr: string) => ask.requireSr(sr).stat;

  return {
    describe: drivers.describe,
    createSr: async (type, { uuid, configuration, sizeBytes }, call) => {
      const about = { command: 'sr_create', args: [`${sizeBytes}`], configuration };
      await ask.ofType(type, uuid, about, call);
      return configuration;
    },
    attachSr: async (type, sr, configuration, call) => {
      await alone(call, () => ask.ofType(type, sr, { command: 'sr_attach', configuration }, call));
      await srs.add(sr, type, undefined);
    },
    detachSr: (sr, call) =>
      datapaths.withFreeSr(sr, call, async () => {
        await alone(call, () => ask.onSr(sr, { command: 'sr_detach' }, call));
        await srs.remove(sr);
      }),
    destroySr: (sr, call) =>
      datapaths.withFreeSr(sr, call, async () => {
        await ask.onSr(sr, { command: 'sr_delete' }, call);
        await srs.remove(sr);
      }),
    statSr,
    updateSr: async (sr, call) => {
      const has = ask.requireSr(sr).features.has('SR_UPDATE');
      if (has) await ask.onSr(sr, { command: 'sr_update' }, call);
      return statSr(sr);
    },
    scanSr: async (sr, call) => {
      await ask.onSr(sr, { command: 'sr_scan' }, call);
      return { stat: await statSr(sr), volumes: rows.volumes(sr), written: true };
    },
    // Drivers of SMAPIv1 look after their chains themselves.
    chainsOfSr: async () => 0,
    collapseSr: async () => 0,
    probeSr: (type, configuration, call) =>
      alone(call, async () => {
        const about = {
          command: 'sr_probe',
          configuration,
          more: { sr_sm_config: call.settings ?? new Map<string, string>() },
        };
        return stringOf(await ask.ofType(type, undefined, about, call), 'what the driver found', probedMax);
      }),
  };
};

const probedMax = 4 * 1024 * 1024;
const locationMax = 4_096;
const never = '19700101T00:00:00Z';

const volumeMethods = ({ rows, datapaths }: SmGiven & { readonly datapaths: Datapaths }, ask: Asker) => {
  const stat = (sr: string, key: string): Volume => ask.requireVdi(sr, key).volume;

  /** The disk that a driver says to have made: its row is there by then. */
  const made = (sr: string, reply: Value): Volume => {
    const key = required(reply, 'location', (value, what) => stringOf(value, what, locationMax));
    const known = rows.vdi(sr, key);
    if (known !== undefined) return known.volume;
    throw new StorageError('SR_BACKEND_FAILURE', ['The driver made a disk and no record of it', key, '']);
  };

  const branch = (command: 'vdi_snapshot' | 'vdi_clone'): DriverKind['snapshotVolume'] => {
    return (sr, key, call) =>
      datapaths.withVolume({ sr, key }, call, async () =>
        made(
          sr,
          await ask.onVdi(
            { sr, key },
            { command, more: { driver_params: call.settings ?? new Map<string, string>() } },
            call,
          ),
        ),
      );
  };

  const updateVolume: DriverKind['updateVolume'] = async (sr, key, call) => {
    const has = ask.requireSr(sr).features.has('VDI_UPDATE');
    if (has) await ask.onVdi({ sr, key }, { command: 'vdi_update' }, call);
    return stat(sr, key);
  };

  /** Drivers that keep names beside their disks read the new one in the row. */
  const describe = (sr: string, key: string, names: Parameters<SmRows['describe']>[2], call: StorageCall) =>
    datapaths.withVolume({ sr, key }, call, async () => {
      await rows.describe(sr, key, names);
      await updateVolume(sr, key, call);
    });

  const epoch = (command: string) => (volume: VolumeName, call: StorageCall) =>
    datapaths.withVolume(volume, call, async () => {
      // A driver that knows of no epochs has nothing to do.
      await ask.onVdi(volume, { command }, call).catch((error: unknown) => {
        if (!isNotSupported(error)) throw error;
      });
    });
  const begin = epoch('vdi_epoch_begin');

  return {
    createVolume: (sr: string, volume: NewVolume, call: StorageCall) =>
      datapaths.withSr(sr, call, async () => {
        const more = { vdi_type: volume.type, vdi_sm_config: volume.smConfig ?? new Map<string, string>() };
        const { name, description, sizeBytes, readOnly = false } = volume;
        const args = [`${sizeBytes}`, name, description, '', 'false', never, '', String(readOnly)];
        return made(sr, await ask.onSr(sr, { command: 'vdi_create', args, more }, call));
      }),
    introduceVolume: (sr, { key, uuid, smConfig }, call) =>
      datapaths.withSr(sr, call, async () => {
        const more = { vdi_location: key, vdi_sm_config: smConfig, new_uuid: uuid };
        return made(sr, await ask.onSr(sr, { command: 'vdi_introduce', more }, call));
      }),
    snapshotVolume: branch('vdi_snapshot'),
    cloneVolume: branch('vdi_clone'),
    revertVolume: (sr, key, snapshot, call) =>
      datapaths.withVolume({ sr, key }, call, async () => {
        const args = [ask.requireVdi(sr, key).ref];
        await ask.onVdi({ sr, key: snapshot }, { command: 'vdi_revert', args }, call);
        return updateVolume(sr, key, call);
      }),
    destroyVolume: (sr, key, call) =>
      datapaths.withFreeVolume({ sr, key }, call, async () => {
        await ask.onVdi({ sr, key }, { command: 'vdi_delete' }, call);
      }),
    resizeVolume: (sr, key, sizeBytes, call) =>
      datapaths.withVolume({ sr, key }, call, async () => {
        const reply = await ask.onVdi({ sr, key }, { command: 'vdi_resize', args: [`${sizeBytes}`] }, call);
        return made(sr, reply).virtualSizeBytes;
      }),
    statVolume: async (sr, key) => stat(sr, key),
    updateVolume,
    setVolumeName: (sr, key, name, call) => describe(sr, key, { name }, call),
    setVolumeDescription: (sr, key, description, call) => describe(sr, key, { description }, call),
    beginEpoch: (volume, _, call) => begin(volume, call),
    endEpoch: epoch('vdi_epoch_end'),
  } satisfies Partial<DriverKind>;
};

const trackedMax = 16 * 1024 * 1024;

const trackingOf = (datapaths: Datapaths, ask: Asker): ChangeTracking => {
  const run = (volume: VolumeName, about: About, call: StorageCall): Promise<Value> =>
    datapaths.withVolume(volume, call, () => ask.onVdi(volume, about, call));
  const nothing = async (work: Promise<Value>): Promise<void> => void (await work);
  const text = async (work: Promise<Value>): Promise<string> =>
    stringOf(await work, 'the answer', trackedMax);
  return {
    set: (sr, key, on, call) =>
      nothing(run({ sr, key }, { command: on ? 'vdi_enable_cbt' : 'vdi_disable_cbt' }, call)),
    dropData: (sr, key, call) => nothing(run({ sr, key }, { command: 'vdi_data_destroy' }, call)),
    changedBlocks: async (sr, from, to, call) => {
      const args = [ask.requireVdi(sr, to).ref];
      return text(run({ sr, key: from }, { command: 'vdi_list_changed_blocks', args }, call));
    },
    configurationOf: (sr, key, call) => text(run({ sr, key }, { command: 'vdi_generate_config' }, call)),
  };
};

const isNotSupported = (error: unknown): boolean =>
  error instanceof StorageError && error.code === 'SR_OPERATION_NOT_SUPPORTED';

/** Datapaths by drivers of SMAPIv1: a disk is attached for all its users at once, and found by its key. */
export const smDatapath = (given: SmGiven): DatapathBackend => {
  const ask = asker(given);
  const features = { activate: 'VDI_ACTIVATE', deactivate: 'VDI_DEACTIVATE' } as const;
  return {
    locate: async ({ sr, key, vm }) => {
      ask.requireVdi(sr, key);
      return { uri: key, domain: vm };
    },
    attach: async (volume, _, access, call) => {
      const args = [String(access === 'RW')];
      return backendOf(await ask.onVdi(volume, { command: 'vdi_attach', args }, call));
    },
    drive: async (volume, _, action, access, call) => {
      // Drivers that do not know the two have the disk ready once it is attached.
      if (action !== 'detach' && !ask.requireSr(volume.sr).features.has(features[action])) return;
      const args = action === 'activate' ? [String(access === 'RW')] : [];
      await ask.onVdi(volume, { command: `vdi_${action}`, args }, call);
    },
  };
};

/** The ways to a disk that a driver tells at attach: a device or a file, and a server of NBD. */
export const backendOf = (reply: Value): Value => {
  const textOf = (name: string): string => stringOf(optionalMember(reply, name) ?? '', name, locationMax);
  const [params, uri] = [textOf('params'), textOf('params_nbd')];
  if (params === '' && uri === '') {
    throw new DecodeFailure('Expected params or params_nbd in what the driver answers to vdi_attach');
  }
  const told = optionalMember(reply, 'xenstore_data');
  const extra = textsOf(told ?? struct({}), 'xenstore_data', extraMax, locationMax);
  // What the bytes of the disk mean is not for entries of xenstore to say.
  const entries = [...extra].filter(([name]) => name !== 'format' && name !== 'backing');
  const device = { params, extra: new Map<string, Value>(entries), backend_type: 'vbd3' };
  const ways = [
    ...(params === ''
      ? []
      : [variant('XenDisk', struct(device)), variant('BlockDevice', struct({ path: params }))]),
    ...(uri === '' ? [] : [variant('Nbd', struct({ uri }))]),
  ];
  return struct({ implementations: ways });
};

const extraMax = 1_000;
