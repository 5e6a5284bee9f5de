import { type Clock, sleep } from '../../std/clock.ts';
import type { AttachedSrs } from './attached-srs.ts';
import type { Datapaths } from './datapaths.ts';
import type { DriverKind, DriverSrMethod } from './driver-kind.ts';
import { CLONE_ON_BOOT } from './script-epochs.ts';
import type { ScriptPlugins } from './script-plugins.ts';
import {
  readLeft,
  readNothing,
  readProbed,
  readSrStat,
  readText,
  readTextMap,
  readVolumes,
} from './script-values.ts';
import { plain } from './script-volumes.ts';
import { type SrStat, type StorageCall, StorageError } from './storage.ts';

// Repositories by SMAPIv3 plugins.

const UNREACHABLE_RETRIES_MAX = 3;
const UNREACHABLE_RETRY_MS = 1_000;

type ScriptSrs = Pick<DriverKind, DriverSrMethod>;

export const scriptSrs = (given: {
  readonly srs: AttachedSrs;
  readonly plugins: ScriptPlugins;
  readonly datapaths: Datapaths;
  readonly clock: Clock;
}): ScriptSrs => {
  const { srs, plugins, datapaths, clock } = given;

  const stat = (sr: string, call: StorageCall): Promise<SrStat> =>
    srs.run(sr, 'SR.stat', {}, call, readSrStat);

  const leave = (sr: string, method: string, call: StorageCall): Promise<void> =>
    datapaths.withFreeSr(sr, call, async () => {
      await srs.run(sr, method, {}, call, readNothing);
      await srs.remove(sr);
    });

  const left = async (sr: string, looking: boolean, call: StorageCall): Promise<number> =>
    (await srs.scriptsOf(sr)).has('SR.collapse')
      ? srs.run(sr, 'SR.collapse', { looking }, call, readLeft)
      : 0;

  /** An SR whose storage is away for a moment is asked again: forgetting its volumes costs more. */
  const healthy = async (sr: string, call: StorageCall): Promise<SrStat> => {
    for (let retries = 0; ; retries += 1) {
      const found = await stat(sr, call);
      if (found.health === 'Healthy') return found;
      if (found.health !== 'Unreachable' || retries >= UNREACHABLE_RETRIES_MAX) {
        const advice = 'Repair the storage and scan again';
        throw new StorageError('SR_UNHEALTHY', [sr, found.health, advice]);
      }
      await sleep(clock, UNREACHABLE_RETRY_MS, call.signal);
    }
  };

  return {
    createSr: async (type, { uuid, name, description, configuration }, call) =>
      (await plugins.ofType(type)).run(
        'SR.create',
        { uuid, name, description, configuration },
        call,
        readTextMap,
      ),

    attachSr: async (type, sr, configuration, call) => {
      const scripts = await plugins.ofType(type);
      // One that was introduced is known to its plugin by nothing else.
      const whole = new Map([...configuration, ['sr_uuid', sr]]);
      const handle = await scripts.run('SR.attach', { configuration: whole }, call, readText);
      await srs.add(sr, type, handle);
    },

    detachSr: (sr, call) => leave(sr, 'SR.detach', call),
    destroySr: (sr, call) => leave(sr, 'SR.destroy', call),
    statSr: stat,
    updateSr: stat,

    scanSr: async (sr, call) => {
      const found = await healthy(sr, call);
      const all = await srs.run(sr, 'SR.ls', {}, call, readVolumes);
      const clones = new Set(all.map(({ keys }) => keys.get(CLONE_ON_BOOT)));
      return { volumes: all.filter(({ key }) => !clones.has(key)).map(plain), stat: found };
    },

    chainsOfSr: (sr, call) => left(sr, true, call),
    collapseSr: (sr, call) => left(sr, false, call),

    probeSr: async (type, configuration, call) =>
      (await plugins.ofType(type)).run('SR.probe', { configuration }, call, readProbed),
  };
};
