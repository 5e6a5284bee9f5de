import type { OpenVolume, Storage } from '../drivers/storage/storage.ts';
import type { Ref } from '../model/types.ts';
import type { DiskWanted, OpenDisk } from '../objects/disk.ts';
import { isLive } from '../objects/places.ts';
import type { Services } from '../objects/services.ts';
import type { Random } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import type { Store } from '../store/store.ts';
import type { View } from '../store/view.ts';
import { asking } from './storage-faults.ts';
import { hostOfSr, pbdOf } from './storage-rows.ts';

/** A host that has the repository attached: this one if it can be, else the one that does the work of it. */
export const hostReaching = (view: View, sr: Ref<'SR'>, here: Ref<'host'>): Ref<'host'> => {
  const { PBDs } = view.require('SR', sr);
  if (pbdOf(view, sr, here) !== undefined) return here;
  const plugged = PBDs.flatMap((ref) => view.get('PBD', ref) ?? []).filter((pbd) => pbd.currently_attached);
  const hosts = plugged.map(({ host }) => host);
  const [first] = hosts;
  if (first === undefined) throw new Fault('SR_HAS_NO_PBDS', [sr]);
  const live = hosts.filter((host) => isLive(view, host));
  const usual = hostOfSr(view, sr);
  const host = live.find((one) => one === usual) ?? live[0];
  if (host === undefined) throw new Fault('HOST_OFFLINE', [first]);
  return host;
};

/** Opens a disk wherever it is reached. */
export const openDisk = async (
  services: Services,
  wanted: DiskWanted,
  signal: AbortSignal,
): Promise<OpenDisk> => {
  const view = services.store.latest;
  const host = hostReaching(view, view.require('VDI', wanted.vdi).SR, services.host);
  if (host === services.host) return openDiskHere(services, wanted, signal);
  if (services.diskOn === undefined) throw new Fault('HOST_OFFLINE', [host]);
  return services.diskOn(host, wanted, signal);
};

/** What the storage can tell of the disk, if it can. */
const extentsOf = (
  { extents }: Pick<OpenVolume, 'extents'>,
  ask: <T>(run: () => Promise<T>) => Promise<T>,
): Pick<OpenVolume, 'extents'> =>
  extents === undefined ? {} : { extents: (position, length) => ask(() => extents(position, length)) };

export interface Here {
  readonly storage: Storage;
  readonly store: Store;
  readonly random: Random;
}

/** Opens a disk of a repository that this host has attached. */
export const openDiskHere = async (
  { storage, store, random }: Here,
  { vdi, how, operation }: DiskWanted,
  signal: AbortSignal,
): Promise<OpenDisk> => {
  const { location, SR } = store.latest.require('VDI', vdi);
  const { uuid } = store.latest.require('SR', SR);
  const datapath = `${operation}/${random.uuid()}`;
  const later = { debugInfo: `VDI.${operation}` };
  const ask = <T>(run: () => Promise<T>): Promise<T> => asking({ sr: SR, vdi, operation }, run);
  // Closing must happen also when the caller has gone, so it does not hear the signal.
  const close = (): Promise<void> => storage.closeVolume(uuid, location, datapath, later);
  const open = await ask(() =>
    storage.openVolume(uuid, location, datapath, how === 'write', { ...later, signal }),
  ).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return {
    sizeBytes: open.sizeBytes,
    read: (into, position) => ask(() => open.read(into, position)),
    write: (from, position) => ask(() => open.write(from, position)),
    flush: () => ask(() => open.flush()),
    ...extentsOf(open, ask),
    close: () =>
      ask(async () => {
        await close();
        if (how === 'read') return 0n;
        return (await storage.statVolume(uuid, location, { ...later, signal })).physicalUtilisationBytes;
      }),
  };
};
