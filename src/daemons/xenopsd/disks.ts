import { type Vbd, type XenopsDisk, XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import type { GuestDisk } from './backend.ts';
import type { Core } from './core.ts';
import type { Datapath, DiskPlace } from './storage.ts';
import type { VmEntry } from './vm-entries.ts';

// A disk is held by a datapath. Every datapath is noted in the entry and saved before storage hears of
// it, so that a daemon which is killed in between knows afterwards what to give back.

/** The storage disk behind `disk`; a path of the host needs none. */
const datapathOf = (disk: XenopsDisk, name: string, domain: string): Datapath | undefined => {
  const [kind, place] = disk;
  if (kind === 'Local') return undefined;
  const slash = place.indexOf('/');
  if (slash < 0) throw new XenopsError('Internal_error', [`${place} is not <SR uuid>/<VDI location>`]);
  return { name, domain, sr: place.slice(0, slash), vdi: place.slice(slash + 1) };
};

/** Guests get disks of storage alone: a path of the host could be any file of it. */
const guestPath = (vbd: Vbd, domid: number): Datapath | undefined => {
  if (vbd.backend === undefined) return undefined;
  const path = datapathOf(vbd.backend, vbdDatapathName(domid, vbd.id[1]), String(domid));
  if (path !== undefined) return path;
  throw new XenopsError('Internal_error', [`disk ${vbd.id[1]} is a path of the host, not a disk of storage`]);
};

const vbdDatapathName = (domid: number, device: string): string => `vbd/${domid}/${device}`;

/** Notes every disk that a guest will get, in one save. */
export const noteDisks = async (core: Core, entry: VmEntry, domid: number): Promise<void> => {
  for (const vbd of entry.vbds.values()) {
    const path = guestPath(vbd, domid);
    if (path !== undefined) entry.datapaths.set(path.name, path);
  }
  await core.entries.save(entry);
};

/** Attaches and activates what is behind `vbd`. On failure nothing of it stays attached. */
export const openDisk = async (
  core: Core,
  entry: VmEntry,
  vbd: Vbd,
  domid: number,
  debugInfo: string,
): Promise<GuestDisk> => {
  const path = guestPath(vbd, domid);
  if (vbd.backend === undefined) return emptyDrive(vbd);
  const place = await hold(core, entry, vbd.backend, path, vbd.mode === 'ReadWrite', debugInfo);
  return { vbd, ...place };
};

/** Like `openDisk`, without activating it: another host may still write to it. */
export const attachDisk = async (
  core: Core,
  vbd: Vbd,
  domid: number,
  debugInfo: string,
): Promise<GuestDisk> => {
  const path = guestPath(vbd, domid);
  return path === undefined ? emptyDrive(vbd) : attached(core, vbd, path, debugInfo);
};

const emptyDrive = (vbd: Vbd): GuestDisk => ({ vbd, path: undefined, format: 'raw' });

/** Where the disk is. One that is attached already stays as it is. */
const attached = async (core: Core, vbd: Vbd, path: Datapath, debugInfo: string): Promise<GuestDisk> => ({
  vbd,
  ...(await core.storage.attach(path, vbd.mode === 'ReadWrite', debugInfo)),
});

/** What the present domain holds. A path of an earlier one may be left, which storage did not take back. */
const currentPaths = (entry: VmEntry): readonly Datapath[] => {
  const prefix = vbdDatapathName(entry.domid ?? 0, '');
  return [...entry.datapaths.values()].filter(({ name }) => name.startsWith(prefix));
};

const deviceOf = (entry: VmEntry, { name }: Datapath): string =>
  name.slice(vbdDatapathName(entry.domid ?? 0, '').length).split('/')[0] ?? '';

const pathsOf = (entry: VmEntry, device: string): readonly Datapath[] =>
  currentPaths(entry).filter((path) => deviceOf(entry, path) === device);

/** All disks of a guest that was moved to here and whose other host has let go of them. */
export const activateDisks = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  for (const path of currentPaths(entry)) await core.storage.activate(path, debugInfo);
};

/** Lets go of all disks, so that another host may write to them, and keeps what leads back to them. */
export const deactivateDisks = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  for (const path of entry.datapaths.values()) await core.storage.deactivate(path, debugInfo);
};

/** The way back from `deactivateDisks`, also for a daemon that does not know how far it got. */
export const reopenDisks = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  for (const path of currentPaths(entry)) {
    const device = deviceOf(entry, path);
    await core.storage.attach(path, entry.vbds.get(device)?.mode === 'ReadWrite', debugInfo);
    await core.storage.activate(path, debugInfo);
  }
};

export const closeDisk = async (
  core: Core,
  entry: VmEntry,
  device: string,
  debugInfo: string,
): Promise<void> => {
  for (const path of pathsOf(entry, device)) await release(core, entry, path, debugInfo);
  await core.entries.save(entry);
};

const pathOf = (entry: VmEntry, device: string): Datapath => {
  const [path] = pathsOf(entry, device);
  if (path === undefined) throw new XenopsError('Device_not_connected', []);
  return path;
};

/** Where a disk is that its guest has. */
export const placeOfDisk = (core: Core, entry: VmEntry, vbd: Vbd, debugInfo: string): Promise<GuestDisk> =>
  attached(core, vbd, pathOf(entry, vbd.id[1]), debugInfo);

/** Lets go of a disk and takes it again, while its guest goes on: storage may say another place now. */
export const reopenDisk = async (
  core: Core,
  entry: VmEntry,
  vbd: Vbd,
  debugInfo: string,
): Promise<GuestDisk> => {
  const path = pathOf(entry, vbd.id[1]);
  await notePath(core, entry, { ...path, reopening: true });
  await core.storage.deactivate(path, debugInfo);
  await core.storage.detach(path, debugInfo);
  const disk = await attached(core, vbd, path, debugInfo);
  await core.storage.activate(path, debugInfo);
  await notePath(core, entry, { ...path, reopening: false });
  return disk;
};

const notePath = async (core: Core, entry: VmEntry, path: Datapath): Promise<void> => {
  entry.datapaths.set(path.name, path);
  await core.entries.save(entry);
};

/** What is open for a device beside its disk, or was let go of for a moment, by work that was cut off. */
export const isUnsettled = (entry: VmEntry): boolean =>
  currentPaths(entry).some(
    (path) => path.reopening === true || pathsOf(entry, deviceOf(entry, path)).length > 1,
  );

/** Ends that: the guest is the one who knows which disk it has. */
export const settleDisks = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  for (const path of currentPaths(entry).filter(({ reopening }) => reopening === true)) {
    const mode = entry.vbds.get(deviceOf(entry, path))?.mode;
    await core.storage.attach(path, mode === 'ReadWrite', debugInfo);
    await core.storage.activate(path, debugInfo);
    await notePath(core, entry, { ...path, reopening: false });
  }
  for (const vbd of [...entry.vbds.values()]) {
    const device = vbd.id[1];
    if (entry.guest?.vbds.has(device) !== true || pathsOf(entry, device).length < 2) continue;
    const path = await pathInUse(core, entry, vbd, debugInfo);
    entry.vbds.set(device, { ...vbd, backend: ['VDI', `${path.sr}/${path.vdi}`] });
    await core.entries.save(entry);
    await leaveWith(core, entry, device, path, debugInfo).finally(() => core.updates.add(['Vbd', vbd.id]));
  }
};

/** The one of several that a guest's disk is behind. */
const pathInUse = async (core: Core, entry: VmEntry, vbd: Vbd, debugInfo: string): Promise<Datapath> => {
  const image = await core.backend.imageOf(entry.id, vbd.id);
  for (const path of image === undefined ? [] : pathsOf(entry, vbd.id[1])) {
    if ((await attached(core, vbd, path, debugInfo)).path === image) return path;
  }
  // It was never given another one, so it has the first.
  return pathOf(entry, vbd.id[1]);
};

/** Opens another disk for a device beside the one that it has, to be written. */
export const openBeside = async (
  core: Core,
  entry: VmEntry,
  vbd: Vbd,
  debugInfo: string,
): Promise<{ readonly disk: GuestDisk; readonly path: Datapath }> => {
  const given = guestPath(vbd, entry.domid ?? 0);
  if (given === undefined || vbd.backend === undefined) throw new XenopsError('Media_not_present', []);
  const name = entry.datapaths.has(given.name) ? `${given.name}/beside` : given.name;
  const path = { ...given, name };
  const place = await hold(core, entry, vbd.backend, path, true, debugInfo);
  return { disk: { vbd, ...place }, path };
};

/** The device has this disk, and lets go of the one that it had. */
export const leaveWith = async (
  core: Core,
  entry: VmEntry,
  device: string,
  path: Datapath,
  debugInfo: string,
): Promise<void> => {
  for (const other of pathsOf(entry, device))
    if (other.name !== path.name) await release(core, entry, other, debugInfo);
  await core.entries.save(entry);
};

/** Lends `use` the path of a disk that this host itself reads or writes, such as a guest's saved memory. */
export const withHostDisk = async <T>(
  core: Core,
  entry: VmEntry,
  disk: XenopsDisk,
  readWrite: boolean,
  debugInfo: string,
  use: (path: string) => Promise<T>,
): Promise<T> => {
  const path = datapathOf(disk, `xenopsd/${entry.id}`, '0');
  const { path: file, format, exportName } = await hold(core, entry, disk, path, readWrite, debugInfo);
  try {
    if (format !== 'raw' || exportName !== undefined) {
      const found = exportName === undefined ? format : 'served over NBD';
      throw new XenopsError('Internal_error', [
        `memory is kept on raw files and devices only, and this disk is ${found}`,
      ]);
    }
    return await use(file);
  } finally {
    if (path !== undefined) await release(core, entry, path, debugInfo);
  }
};

const hold = async (
  core: Core,
  entry: VmEntry,
  disk: XenopsDisk,
  path: Datapath | undefined,
  readWrite: boolean,
  debugInfo: string,
): Promise<DiskPlace> => {
  if (path === undefined) return { path: disk[1], format: 'raw' };
  if (!entry.datapaths.has(path.name)) {
    entry.datapaths.set(path.name, path);
    await core.entries.save(entry);
  }
  try {
    const place = await core.storage.attach(path, readWrite, debugInfo);
    await core.storage.activate(path, debugInfo);
    return place;
  } catch (error) {
    await release(core, entry, path, debugInfo);
    throw error;
  }
};

/** Storage that refuses to take a disk back is asked again at the VM's next start or removal. */
const release = async (core: Core, entry: VmEntry, path: Datapath, debugInfo: string): Promise<void> => {
  try {
    await core.storage.deactivate(path, debugInfo);
    await core.storage.detach(path, debugInfo);
    entry.datapaths.delete(path.name);
  } catch (error) {
    core.log.error({ vm: entry.id, path, error }, 'storage did not take a disk back');
  }
};

/** Gives back everything that storage holds for the VM, the last disk first. Does not save. */
export const releaseAll = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  for (const path of [...entry.datapaths.values()].reverse()) await release(core, entry, path, debugInfo);
};

/**
 * Disks whose writes last for one power cycle only. For the others storage would start a plugin for nothing.
 */
const resetDisks = (entry: VmEntry): readonly Datapath[] =>
  [...entry.vbds.values()].flatMap(({ id, backend, persistent }) => {
    const path = persistent || backend === undefined ? undefined : datapathOf(backend, id[1], '0');
    return path === undefined ? [] : [path];
  });

export const beginEpochs = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  for (const path of resetDisks(entry)) await core.storage.beginEpoch(path, debugInfo);
};

/** What fails is left to the next beginning, which forgets what it finds. */
export const endEpochs = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  for (const path of resetDisks(entry)) {
    await core.storage
      .endEpoch(path, debugInfo)
      .catch((error: unknown) => core.log.warn({ vm: entry.id, path, error }, 'an epoch did not end'));
  }
};
