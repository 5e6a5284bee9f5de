import type { Log } from '../../std/log.ts';
import type { Disk } from '../disk.ts';
import type { Processes } from '../processes.ts';
import { claimedFeatures } from './claims.ts';
import { readPlugin } from './script-values.ts';
import { findScripts, type ScriptFolder, type ScriptFolders, type ScriptLimits } from './scripts.ts';
import { type StorageCall, StorageError, type StoragePlugin } from './storage.ts';

/** The plugins of this host: which there are, what they can do, and which of them to ask. */
export interface ScriptPlugins {
  /** Looks again, and asks each who it is. One that does not answer properly is left out and logged. */
  describe(call: StorageCall): Promise<readonly StoragePlugin[]>;
  /** The scripts of an SR type; SR_UNKNOWN_DRIVER when there are none. */
  ofType(type: string): Promise<ScriptFolder>;
  has(type: string): Promise<boolean>;
  /** The first of a volume's URIs that a datapath of this host serves. */
  datapathFor(uris: readonly string[]): Promise<FoundDatapath>;
  /** The same where that datapath keeps or drops itself what a guest writes; undefined where it does not. */
  epochsFor(uris: readonly string[], call: StorageCall): Promise<FoundDatapath | undefined>;
}

export interface FoundDatapath {
  readonly scripts: ScriptFolder;
  readonly uri: string;
}

/** The feature of a datapath that is told of disks that are not persistent. */
const NONPERSISTENT = 'NONPERSISTENT';

/** What the name of a volume plugin's folder begins with; the SR type follows. */
const QUEUE_PREFIX = 'org.xen.xapi.storage.';

/** A script that is there is a feature that is there. */
const featureOfScript: readonly (readonly [script: string, feature: string])[] = [
  ['SR.attach', 'SR_ATTACH'],
  ['SR.create', 'SR_CREATE'],
  ['SR.destroy', 'SR_DELETE'],
  ['SR.detach', 'SR_DETACH'],
  ['SR.ls', 'SR_SCAN'],
  ['SR.probe', 'SR_PROBE'],
  ['SR.stat', 'SR_UPDATE'],
  ['Volume.clone', 'VDI_CLONE'],
  ['Volume.create', 'VDI_CREATE'],
  ['Volume.destroy', 'VDI_DELETE'],
  ['Volume.resize', 'VDI_RESIZE'],
  ['Volume.snapshot', 'VDI_SNAPSHOT'],
  ['Volume.stat', 'VDI_UPDATE'],
];
const impliedAlways = ['VDI_ATTACH', 'VDI_DETACH', 'VDI_ACTIVATE', 'VDI_DEACTIVATE', 'VDI_INTRODUCE'];

/** With what scripts imply; a claim of the plugin itself counts before. */
export const featuresOf = (claimed: readonly string[], has: (script: string) => boolean) => {
  const implied = featureOfScript.filter(([script]) => has(script)).map(([, feature]) => feature);
  const reset = has('Volume.clone') ? ['VDI_RESET_ON_BOOT/2'] : [];
  const own = claimed.map((claim) => claim.replace(/^VDI_DESTROY(?=\/|$)/, 'VDI_DELETE'));
  return claimedFeatures([...own, ...implied, ...impliedAlways, ...reset]);
};

export const scriptPlugins = (given: {
  readonly roots: readonly string[];
  readonly disk: Disk;
  readonly processes: Processes;
  readonly limits: ScriptLimits;
  readonly log: Log;
}): ScriptPlugins => {
  let known: Promise<ScriptFolders> | undefined;

  const look = (): Promise<ScriptFolders> => {
    known = findScripts(given, given.roots);
    return known;
  };

  /** What was found last; if it is not in there, what is there now. */
  const find = async <T>(pick: (folders: ScriptFolders) => T | undefined): Promise<T | undefined> =>
    pick(await (known ?? look())) ?? pick(await look());

  const plugin = (type: string): Promise<ScriptFolder | undefined> =>
    find(({ volume }) => volume.get(QUEUE_PREFIX + type));

  const ofType = async (type: string): Promise<ScriptFolder> => {
    const scripts = await plugin(type);
    if (scripts === undefined) throw new StorageError('SR_UNKNOWN_DRIVER', [type]);
    return scripts;
  };

  const datapathOf = (uris: readonly string[]): Promise<FoundDatapath | undefined> =>
    find(({ datapath }) => {
      for (const uri of uris) {
        const scripts = datapath.get(uri.slice(0, Math.max(0, uri.indexOf(':'))));
        if (scripts !== undefined) return { scripts, uri };
      }
      return undefined;
    });

  const describe = async (type: string, scripts: ScriptFolder, call: StorageCall): Promise<StoragePlugin> => {
    const { features, ...about } = await scripts.run('Plugin.query', {}, call, readPlugin);
    const driverFilename = scripts.path;
    return { ...about, type, driverFilename, features: featuresOf(features, scripts.has) };
  };

  return {
    describe: async (call) => {
      const found: StoragePlugin[] = [];
      for (const [name, scripts] of (await look()).volume) {
        if (!name.startsWith(QUEUE_PREFIX)) continue;
        try {
          found.push(await describe(name.slice(QUEUE_PREFIX.length), scripts, call));
        } catch (error) {
          call.signal?.throwIfAborted();
          given.log.warn({ plugin: scripts.path, error }, 'a storage plugin does not say who it is');
        }
      }
      return found;
    },
    ofType,
    has: async (type) => (await plugin(type)) !== undefined,
    datapathFor: async (uris) => {
      const chosen = await datapathOf(uris);
      if (chosen !== undefined) return chosen;
      throw new StorageError('SR_BACKEND_FAILURE', [
        'No datapath plugin serves the volume',
        uris.join(' '),
        '',
      ]);
    },
    epochsFor: async (uris, call) => {
      const found = await datapathOf(uris);
      if (found?.scripts.has('Datapath.open') !== true || !found.scripts.has('Plugin.query'))
        return undefined;
      // Asked each time: the plugin may be another one since.
      const { features } = await found.scripts.run('Plugin.query', {}, call, readPlugin);
      return features.includes(NONPERSISTENT) ? found : undefined;
    },
  };
};
