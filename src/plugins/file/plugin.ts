import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SIZE_BYTES_MAX } from '../../codec/qcow2-header.ts';
import type { Disk } from '../../drivers/disk.ts';
import type { FileLocks } from '../../drivers/file-lock.ts';
import { type Processes, ProcessFailure } from '../../drivers/processes.ts';
import type { Random } from '../../std/clock.ts';
import { folderOfHost } from '../../std/repository-folder.ts';
import { readMark } from '../held.ts';
import { type FolderGiven, inAllowedFolders, locationOf, srStat } from '../location.ts';
import type { Place } from '../place.ts';
import {
  type Args,
  always,
  bytesOf,
  failure,
  flagOf,
  type Methods,
  nothing,
  ofOurs,
  Refusal,
  textOf,
  textsOf,
} from '../script.ts';
import { toolsBy } from '../tools.ts';
import { CHAIN_MAX, formatOf, isImage } from './chain.ts';
import { collapseMethods } from './collapsing.ts';
import { type OpenFolder, releaseImage } from './folder.ts';
import { type Images, imagesIn } from './images.ts';
import { trackingMethods } from './tracking.ts';
import { turnFiles, turnsIn } from './turns.ts';
import { notesIn, type SrNote, VDI_TYPE, type VolumeNote } from './volumes.ts';

export interface FilePluginGiven extends FolderGiven {
  readonly processes: Processes;
  readonly random: Random;
  readonly locks: FileLocks;
  /** Which host this is, among those that may have the folder. */
  readonly host: string;
}

const SECTOR_BYTES = 512;

/**
 * SR type `file`: disk images in a folder of this host, qcow2 or raw. A change counts from the moment
 * its note is replaced; what a kill left before that is removed when the SR is attached next.
 */
export const filePlugin = (given: FilePluginGiven): Methods =>
  inAllowedFolders(given, imagesPlugin(given, about, folderPlace(given)));

const imageFeatures: readonly string[] = [
  ...['THIN_PROVISIONING', 'VDI_CONFIG_CBT', 'VDI_RESIZE_ONLINE', 'VDI_MIRROR', 'VDI_OVERLAY'],
];

/** Disk images in a folder, whatever brings the folder to this host. */
export const imagesPlugin = (given: FilePluginGiven, self: object, place: Place): Methods => {
  const tool = toolsBy(given.processes);
  const folderOf = (args: Args): OpenFolder => {
    const path = textOf(args, 'sr');
    return {
      disk: given.disk,
      path,
      notes: notesIn(given.disk, path),
      images: imagesIn({ ...given, tool }, path),
      turns: turnsIn(given.locks, path),
    };
  };
  return {
    'Plugin.query': always({ ...ofOurs, ...self, features: imageFeatures }),
    ...srMethods(given, folderOf, place),
    ...collapseMethods(folderOf),
    ...working(folderOf, {
      ...volumeMethods(given, folderOf),
      ...noteMethods(folderOf),
      ...trackingMethods(folderOf),
    }),
  };
};

/** The same methods, during which no other host tidies the folder up; looking needs no turn. */
const working = (folderOf: FolderOf, methods: Methods): Methods =>
  Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      name === 'Volume.stat' ? method : (args: Args) => folderOf(args).turns.working(() => method(args)),
    ]),
  );

/** Of the setting `format`, for people. */
export const formatChoice = 'qcow2 or raw; without it qcow2 where qemu-img is installed';

const about = {
  plugin: 'file',
  name: 'Folder of disk images',
  description: 'Keeps each disk as an image file, qcow2 or raw, in a folder of the host',
  configuration: {
    location: folderOfHost,
    format: formatChoice,
  },
};

/** The folder is the administrator's, who says where it is. */
const folderPlace = ({ disk }: FilePluginGiven): Place => ({
  make: async (configuration) => {
    const folder = locationOf(configuration);
    await disk.makeFolder(folder);
    return { folder, configuration: { ...configuration, location: folder } };
  },
  reach: async (configuration) => locationOf(configuration),
  remove: async (folder) => {
    const strangers = await disk.list(folder);
    if (strangers.length === 0) await disk.remove(folder);
  },
  look: async (configuration, at) => {
    const sr = await at(locationOf(configuration));
    return sr === undefined ? [] : [{ configuration, complete: true, sr, extra_info: {} }];
  },
});

type FolderOf = (args: Args) => OpenFolder;

const srMethods = ({ disk, processes, host }: FilePluginGiven, folderOf: FolderOf, place: Place): Methods => {
  const { leave } = place;
  const noteOf = async ({ notes, path }: OpenFolder): Promise<SrNote> => {
    const note = await notes.readSr();
    if (note === undefined) throw failure('There is no SR in the folder', path);
    return note;
  };

  /** What SR.stat says. A folder without its note is another, such as that below a mount that is gone. */
  const figures = async ({ path, notes }: OpenFolder): Promise<object> => {
    const note = await notes.readSr();
    const { uuid, name, description } = note ?? { uuid: '', name: '', description: '' };
    const about = { sr: path, name, description, ...(uuid !== '' && { uuid }) };
    return srStat(disk, about, note === undefined ? 'There is no SR in the folder' : undefined);
  };

  const rename = async (args: Args, change: Partial<SrNote>): Promise<void> => {
    const folder = folderOf(args);
    await folder.notes.writeSr({ ...(await noteOf(folder)), ...change });
  };

  return {
    'SR.create': async (args) => {
      const configuration = textsOf(args, 'configuration');
      const uuid = textOf(args, 'uuid');
      const imageFormat = await imageFormatOf(configuration, processes);
      const name = textOf(args, 'name');
      const description = textOf(args, 'description');
      const made = await place.make(configuration, uuid);
      try {
        const { notes, path } = folderOf({ sr: made.folder });
        const other = (await notes.readSr())?.uuid ?? uuid;
        if (other !== uuid) throw failure('Another SR is in the folder', `${path} holds ${other}`);
        await notes.writeSr({ uuid, name, description, imageFormat });
      } finally {
        await place.leave?.(made.folder);
      }
      return made.configuration;
    },
    'SR.attach': async (args) => {
      const folder = folderOf({ sr: await place.reach(textsOf(args, 'configuration')) });
      await noteOf(folder);
      await removeOwnMarks(disk, folder, host);
      await folder.turns.tidying(() => removeLeftovers(disk, folder));
      return folder.path;
    },
    'SR.detach': leave === undefined ? nothing : (args) => leave(textOf(args, 'sr')),
    'SR.destroy': async (args) => {
      const folder = folderOf(args);
      if ((await folder.notes.keys()).length > 0) throw new Refusal('SR_NOT_EMPTY', []);
      await folder.turns.tidying(() => removeLeftovers(disk, folder));
      await folder.notes.removeSr();
      for (const name of turnFiles) {
        if (await disk.exists(join(folder.path, name))) await disk.remove(join(folder.path, name));
      }
      await place.remove(folder.path);
    },
    'SR.stat': (args) => figures(folderOf(args)),
    'SR.set_name': (args) => rename(args, { name: textOf(args, 'new_name') }),
    'SR.set_description': (args) => rename(args, { description: textOf(args, 'new_description') }),
    'SR.probe': (args) =>
      place.look(textsOf(args, 'configuration'), async (sr) => {
        const folder = folderOf({ sr });
        const found = (await disk.exists(sr)) && (await folder.notes.readSr()) !== undefined;
        return found ? figures(folder) : undefined;
      }),
    'SR.ls': async (args) => {
      const folder = folderOf(args);
      // What cannot be removed now is in nobody's way.
      await folder.turns.tidying(() => removeUnneeded(disk, folder)).catch(() => undefined);
      const found: (readonly [string, VolumeNote])[] = [];
      for (const key of await folder.notes.keys()) found.push([key, await folder.notes.read(key)]);
      const used = await folder.images.usedBytes(found.map(([, { image }]) => image));
      return Promise.all(found.map(([key, note]) => described(folder, key, note, used.get(note.image) ?? 0)));
    },
  };
};

const imageFormatOf = async (
  configuration: Readonly<Record<string, string>>,
  processes: Processes,
): Promise<SrNote['imageFormat']> => {
  const { format: wanted } = configuration;
  if (wanted === 'raw') return wanted;
  if (wanted !== undefined && wanted !== 'qcow2') throw failure('The format must be qcow2 or raw', wanted);
  const limits = { timeoutMs: 10_000, outputMax: 64 * 1024 };
  const there = await processes.run('qemu-img', ['--version'], limits).then(
    ({ code }) => code === 0,
    (error: unknown) => {
      // One that takes too long is there all the same.
      if (!(error instanceof ProcessFailure && error.reason === 'not-started')) throw error;
      return false;
    },
  );
  if (wanted === 'qcow2' && !there)
    throw failure('qcow2 needs qemu-img; install it or choose the format raw');
  return there ? 'qcow2' : 'raw';
};

/** Also files that an interrupted change left. Nobody is at work, and nothing of this host is attached. */
const removeLeftovers = async (disk: Disk, folder: OpenFolder): Promise<void> => {
  await removeUnneeded(disk, folder);
  for (const { name } of await disk.list(folder.path)) {
    if (/^\..+\.(json|held)\.[0-9a-f]{24}$/.test(name)) await disk.remove(join(folder.path, name));
  }
};

/**
 * Removes images that no volume needs. Nobody is at work. Where a volume does not say what it needs, every
 * image stays.
 */
const removeUnneeded = async (disk: Disk, { path, notes, images }: OpenFolder): Promise<void> => {
  const needed = new Set<string>();
  let allKnown = true;
  for (const key of await notes.keys()) {
    try {
      for (const image of await images.chainOf((await notes.read(key)).image)) needed.add(image);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      allKnown = false;
    }
  }
  // Also what another host has, whatever the notes say.
  for (const { name } of await disk.list(path)) needed.add(readMark(name)?.image ?? '');
  for (const image of allKnown ? await images.all() : []) if (!needed.has(image)) await images.remove(image);
};

/** Nothing of this host is in use yet. A mark that names no host is of a version that knew of one alone. */
const removeOwnMarks = async (disk: Disk, { path }: OpenFolder, host: string): Promise<void> => {
  for (const { name } of await disk.list(path)) {
    const mark = readMark(name);
    const isOwn = mark !== undefined && isImage(mark.image) && (mark.host ?? host) === host;
    if (isOwn) await disk.remove(join(path, name));
  }
};

const volumeMethods = ({ random }: FilePluginGiven, folderOf: FolderOf): Methods => {
  const stat = async (folder: OpenFolder, key: string): Promise<object> => {
    const note = await folder.notes.read(key);
    const used = await folder.images.usedBytes([note.image]);
    return described(folder, key, note, used.get(note.image) ?? 0);
  };

  /** Adds a volume around a new image; if it cannot be noted, the image goes again. */
  const add = async (folder: OpenFolder, note: VolumeNote): Promise<string> => {
    const key = random.uuid();
    try {
      await folder.notes.write(key, note);
      return key;
    } catch (error) {
      await folder.images.remove(note.image);
      throw error;
    }
  };

  const duplicate = async (args: Args, isSnapshot: boolean): Promise<object> => {
    const folder = folderOf(args);
    const source = textOf(args, 'key');
    const note = await folder.notes.read(source);
    // Whoever has it is given the image on top of it next.
    const live = args['live'] === true;
    const { copy, below } = await split(folder.images, note.image, live);
    const keys = Object.fromEntries(Object.entries(note.keys).filter(([key]) => key === VDI_TYPE));
    const key = await folder.turns.noting(async () => {
      await unchanged(folder, source, note).catch(async (error) => {
        for (const image of [copy, ...(below === undefined ? [] : [below])])
          await folder.images.remove(image);
        throw error;
      });
      // The source first: once there are two who stand on its image, it must not be written again.
      if (below !== undefined) await folder.notes.write(source, { ...note, image: below });
      return add(folder, { ...note, keys, image: copy, tracked: note.tracked && isSnapshot });
    });
    return stat(folder, key);
  };

  return {
    'Volume.create': async (args) => {
      const folder = folderOf(args);
      const sr = await folder.notes.readSr();
      if (sr === undefined) throw failure('There is no SR in the folder', folder.path);
      const type = args['type'] === undefined ? undefined : textOf(args, 'type');
      const note = {
        name: textOf(args, 'name'),
        description: textOf(args, 'description'),
        sharable: flagOf(args, 'sharable'),
        keys: type === undefined ? {} : { [VDI_TYPE]: type },
        tracked: false,
      };
      // A guest's memory is written by who knows no image formats.
      const format = type === 'suspend' ? 'raw' : sr.imageFormat;
      const image = await folder.images.create(format, sizeOf(args, 'size'));
      return stat(folder, await add(folder, { ...note, image }));
    },
    'Volume.snapshot': (args) => duplicate(args, true),
    'Volume.clone': (args) => duplicate(args, false),
    'Volume.stat': (args) => stat(folderOf(args), textOf(args, 'key')),
    'Volume.resize': async (args) => {
      const { notes, images } = folderOf(args);
      const key = textOf(args, 'key');
      const { image } = await notes.read(key);
      const sizeBytes = sizeOf(args, 'new_size');
      const nowBytes = await images.sizeOf(image);
      if (sizeBytes < nowBytes) throw failure('A disk cannot be made smaller', key);
      // Whoever has it has grown it already.
      if (sizeBytes === nowBytes) return;
      const inUse = args['live'] === true ? images.isLocked(image) : images.isHeld(image);
      if (await inUse) throw new Refusal('VDI_IN_USE', [key, 'resize']);
      await images.grow(image, sizeBytes);
    },
    'Volume.destroy': async (args) => {
      const folder = folderOf(args);
      const { notes, images } = folder;
      const key = textOf(args, 'key');
      const { image } = await notes.read(key);
      if (await images.isHeld(image)) throw new Refusal('VDI_IN_USE', [key, 'destroy']);
      await notes.remove(key);
      await releaseImage(folder, image);
    },
  };
};

/** Who works on one volume is one host; that another did meanwhile is seen before anything is lost. */
const unchanged = async ({ notes }: OpenFolder, key: string, { image }: VolumeNote): Promise<void> => {
  if ((await notes.read(key)).image !== image)
    throw failure('Another host changed the disk meanwhile; scan the SR and try again', key);
};

const CHAIN_FULL =
  'The disk stands on too many images while a guest has it; VDI.pool_migrate to another SR makes it one';

/**
 * Makes an image for a copy of a volume. Where nothing is using it, nothing is copied: its image
 * becomes the parent of two new ones, and `below` is the one that the volume goes on with.
 */
const split = async (
  images: Images,
  image: string,
  live: boolean,
): Promise<{ copy: string; below?: string }> => {
  const isHeld = !live && (await images.isHeld(image));
  if (formatOf(image) === 'raw' || isHeld) return { copy: await images.copy(image) };
  if ((await images.chainOf(image)).length >= CHAIN_MAX) {
    if (live) throw failure(CHAIN_FULL, image);
    return { copy: await images.flatten(image) };
  }
  const copy = await images.overlay(image);
  try {
    return { copy, below: await images.overlay(image) };
  } catch (error) {
    await images.remove(copy);
    throw error;
  }
};

const noteMethods = (folderOf: FolderOf): Methods => {
  const change = async (args: Args, to: (note: VolumeNote) => VolumeNote): Promise<void> => {
    const { notes, turns } = folderOf(args);
    const key = textOf(args, 'key');
    await turns.noting(async () => notes.write(key, to(await notes.read(key))));
  };
  return {
    'Volume.set_name': (args) => change(args, (note) => ({ ...note, name: textOf(args, 'new_name') })),
    'Volume.set_description': (args) =>
      change(args, (note) => ({ ...note, description: textOf(args, 'new_description') })),
    'Volume.set': (args) =>
      change(args, (note) => ({ ...note, keys: withKey(note.keys, textOf(args, 'k'), textOf(args, 'v')) })),
    'Volume.unset': (args) =>
      change(args, (note) => ({ ...note, keys: withKey(note.keys, textOf(args, 'k'), undefined) })),
  };
};

/** By entries, because a key may be called `__proto__`. */
const withKey = (
  keys: VolumeNote['keys'],
  key: string,
  value: string | undefined,
): Readonly<Record<string, string>> => {
  const changed = new Map(Object.entries(keys));
  if (value === undefined) changed.delete(key);
  else changed.set(key, value);
  return Object.fromEntries(changed);
};

/** What was asked for, in whole sectors and never less. */
const sizeOf = (args: Args, name: string): number => {
  const bytes = bytesOf(args, name);
  if (bytes < 1 || bytes > Number(SIZE_BYTES_MAX)) {
    throw failure(`A disk has from 1 to ${SIZE_BYTES_MAX} bytes`, `${bytes}`);
  }
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
};

const described = async (
  folder: OpenFolder,
  key: string,
  note: VolumeNote,
  usedBytes: number,
): Promise<object> => {
  const format = formatOf(note.image);
  const path = pathToFileURL(join(folder.path, note.image)).pathname;
  return {
    key,
    uuid: key,
    name: note.name,
    description: note.description,
    read_write: true,
    sharable: note.sharable,
    virtual_size: await folder.images.sizeOf(note.image),
    physical_utilisation: usedBytes,
    uri: [`${format}+file://${path}`],
    keys: withKey(note.keys, 'image-format', format),
    cbt_enabled: note.tracked,
  };
};
