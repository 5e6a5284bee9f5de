import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import blob from '../../actors/blob/behaviour.ts';
import PBD from '../../actors/pbd/behaviour.ts';
import secret from '../../actors/secret/behaviour.ts';
import SM from '../../actors/sm/behaviour.ts';
import { smRows } from '../../actors/sm/rows.ts';
import SR from '../../actors/sr/behaviour.ts';
import VBD from '../../actors/vbd/behaviour.ts';
import VDI from '../../actors/vdi/behaviour.ts';
import type { Storage } from '../../src/drivers/storage/storage.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Host, startHost } from '../drivers/storage/host.ts';
import { noRef, type World, type WorldOptions, world } from '../world.ts';

// The storage classes over a world, and the few calls that their tests make again and again.

export const behaviours = [blob, PBD, secret, SM, SR, VBD, VDI];

export const storageWorld = async (storage: Partial<Storage>, options: WorldOptions = {}): Promise<World> => {
  const made = await world({ behaviours, storage, ...options });
  await smRows(made);
  return made;
};

export interface RealWorld extends World {
  readonly storage: Storage;
  readonly hostStorage: Host;
  /** A folder for a new repository. */
  newFolder(): string;
  remove(): Promise<void>;
}

/** Plugins are processes here, and disks are files. */
export const realWorld = async (scripts: readonly string[], limits?: Parameters<typeof startHost>[1]) => {
  const hostStorage = await startHost(scripts, limits);
  const folder = await mkdtemp(join(tmpdir(), 'sr-'));
  const made = await storageWorld(hostStorage.storage);
  let folders = 0;
  const real: RealWorld = {
    ...made,
    storage: hostStorage.storage,
    hostStorage,
    newFolder: () => {
      folders += 1;
      return join(folder, `${folders}`);
    },
    remove: async () => {
      await made.close();
      await hostStorage.remove();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return real;
};

export const createSr = (w: World, location: string, type = 'file'): Promise<Ref<'SR'>> =>
  w.call('SR.create', w.host, new Map([['location', location]]), 0n, 'disks', 'of a test', type, '', false);

export const createVdi = (w: World, SR: Ref<'SR'>, more: object = {}): Promise<Ref<'VDI'>> =>
  w.call(
    'VDI.create',
    new Map<string, unknown>(
      Object.entries({
        name_label: 'disk',
        SR,
        virtual_size: 4n << 20n,
        type: 'user',
        sharable: false,
        read_only: false,
        other_config: new Map([['a', 'b']]),
        ...more,
      }),
    ),
  );

export const vdiOf = (w: World, vdi: Ref<'VDI'>): RecordNamed<'VDI'> => w.store.committed.require('VDI', vdi);
export const srOf = (w: World, sr: Ref<'SR'>): RecordNamed<'SR'> => w.store.committed.require('SR', sr);

/** The code and the parameters of what a call is refused with. */
export const refusal = (call: Promise<unknown>): Promise<readonly string[]> =>
  call.then(
    () => ['no refusal'],
    (error) => [error.code, ...error.params],
  );

export const pending = (w: World): readonly string[] =>
  [...w.store.committed.all('task')].filter(([, { status }]) => status === 'pending').map(([ref]) => ref);

/** Nothing runs, nothing is marked as running. */
export const idle = (w: World): boolean =>
  pending(w).length === 0 &&
  [...w.store.latest.all('SR'), ...w.store.latest.all('VDI')].every(
    ([, { current_operations }]) => current_operations.size === 0,
  );

export { noRef };
