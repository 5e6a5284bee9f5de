import { basename, dirname, isAbsolute } from 'node:path';
import { variantOf } from '../../codec/rpclib.ts';
import { listOf, member, optionalMember, stringOf } from '../../std/reader.ts';
import type { Value } from '../../std/value.ts';
import { backingOf, type DiskImage } from '../disk-image.ts';
import { type NbdExport, nbdExportOf } from '../nbd-address.ts';
import { EXPORT_NAME, endForgottenServers, type ImageServerGiven, startImageServer } from './image-server.ts';
import { connectNbd } from './nbd.ts';
import { type OpenVolume, StorageError } from './storage.ts';

/** How this process itself reads and writes an activated volume, whatever it is made of. */
export interface VolumeOpener {
  /** `backend` is what the datapath answered at attach. */
  open(backend: Value, writable: boolean): Promise<OpenedVolume>;
}

export interface OpenedVolume extends OpenVolume {
  /** Flushes what was written and lets the volume go. */
  close(): Promise<void>;
}

type Place =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'device'; readonly path: string }
  | { readonly kind: 'image'; readonly image: DiskImage }
  | ({ readonly kind: 'nbd' } & NbdExport);

type Opened = OpenVolume & { close(): Promise<void> };

export const volumeOpener = async (given: ImageServerGiven): Promise<VolumeOpener> => {
  await given.disk.makeFolder(given.folder);
  await endForgottenServers(given);
  let servers = 0;

  const openImage = async (image: DiskImage, writable: boolean): Promise<Opened> => {
    servers += 1;
    const server = await startImageServer(given, `${servers}`, image, writable);
    try {
      const disk = await connectNbd(given, { socketPath: server.socketPath }, EXPORT_NAME, true);
      const address = `nbd+unix:///${EXPORT_NAME}?socket=${encodeURIComponent(server.socketPath)}`;
      return { ...disk, address, close: () => disk.close().finally(server.ended) };
    } catch (error) {
      await server.kill();
      throw error;
    }
  };

  /** A device has its name from the system, by links; the file of a disk is no link to another. */
  const openPath = async (path: string, isDevice: boolean, writable: boolean): Promise<Opened> => {
    const how = writable ? 'write' : 'read';
    const { sync, ...file } = isDevice
      ? await given.disk.open(path, how)
      : await given.disk.openWithin(dirname(path), basename(path), how);
    return { ...file, address: path, flush: sync };
  };

  return {
    open: async (backend, writable) => {
      const place = placeOf(backend);
      if (place.kind === 'image') return guarded(await openImage(place.image, writable), writable);
      if (place.kind !== 'nbd') {
        return guarded(await openPath(place.path, place.kind === 'device', writable), writable);
      }
      const disk = await connectNbd(given, { socketPath: place.socketPath }, place.exportName);
      return guarded(disk, writable && !disk.readOnly);
    },
  };
};

/** The first way that this process can go; an image format names a file that is not the disk's bytes. */
const placeOf = (backend: Value): Place => {
  const ways = listOf(member(backend, 'implementations'), 'implementations').map((item) => variantOf(item));
  const textOf = (tag: string, name: string): string | undefined => {
    const payload = ways.find((way) => way.tag.toLowerCase() === tag)?.payload;
    return payload === undefined ? undefined : stringOf(member(payload, name), name);
  };
  const xen = ways.find((way) => way.tag.toLowerCase() === 'xendisk')?.payload;
  const extra = xen && member(xen, 'extra');
  const format = extra && optionalMember(extra, 'format');
  const params = textOf('xendisk', 'params');
  if (typeof format === 'string' && format !== 'raw' && params !== undefined) {
    return { kind: 'image', image: imageOf(params, format, extra && optionalMember(extra, 'backing')) };
  }
  const uri = textOf('nbd', 'uri');
  const file = textOf('file', 'path');
  if (file !== undefined && isAbsolute(file)) return { kind: 'file', path: file };
  const device = file ?? textOf('blockdevice', 'path') ?? (uri ? undefined : params);
  if (device !== undefined && isAbsolute(device)) return { kind: 'device', path: device };
  if (uri !== undefined) return nbdPlace(uri);
  throw new StorageError('SR_BACKEND_FAILURE', ['No known way to read the volume', '', '']);
};

const imageOf = (path: string, format: string, backing: Value | undefined): DiskImage => {
  const below = typeof backing === 'string' ? backingOf(backing) : [];
  if (format !== 'qcow2' || !isAbsolute(path) || below === undefined) {
    throw new StorageError('SR_BACKEND_FAILURE', ['Not an image that can be used', `${format} ${path}`, '']);
  }
  return { path, format, backing: below };
};

const nbdPlace = (uri: string): Place => {
  const server = nbdExportOf(uri);
  if (server !== undefined) return { kind: 'nbd', ...server };
  throw new StorageError('SR_BACKEND_FAILURE', ['Not an NBD address that can be used', uri, '']);
};

/** The promises of an open volume: its bounds, no writing when it is for reading, the end at `close`. */
const guarded = (disk: Opened, writable: boolean): OpenedVolume => {
  let closing: Promise<void> | undefined;
  let written = false;
  const check = (position: bigint, end: bigint): void => {
    if (closing) throw new Error('The volume is closed');
    if (position < 0n || end > disk.sizeBytes) {
      throw new RangeError(`Bytes ${position} to ${end} are not within the volume's ${disk.sizeBytes}`);
    }
  };
  const close = async (): Promise<void> => {
    try {
      if (written) await disk.flush();
    } finally {
      await disk.close();
    }
  };
  return {
    sizeBytes: disk.sizeBytes,
    ...(disk.address !== undefined && { address: disk.address }),
    read: async (into, position) => {
      check(position, position);
      return disk.read(into, position);
    },
    write: async (from, position) => {
      check(position, position + BigInt(from.length));
      if (!writable) throw new Error('The volume is open for reading only');
      written = true;
      await disk.write(from, position);
    },
    flush: async () => {
      check(0n, 0n);
      await disk.flush();
    },
    ...(disk.extents !== undefined && {
      extents: async (position: bigint, lengthBytes: bigint) => {
        check(position, position + lengthBytes);
        return disk.extents?.(position, lengthBytes) ?? [];
      },
    }),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
};
