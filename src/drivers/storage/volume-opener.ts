import { isAbsolute, join } from 'node:path';
import { listOf, member, optionalMember, stringOf, variantOf } from '../../codec/rpclib.ts';
import { type Clock, sleep } from '../../std/clock.ts';
import type { Value } from '../../std/value.ts';
import type { Disk } from '../disk.ts';
import type { Endpoint, Network } from '../network.ts';
import type { Processes } from '../processes.ts';
import { connectNbd } from './nbd.ts';
import { type OpenVolume, StorageError } from './storage.ts';

/** How this process itself reads and writes an activated volume, whatever it is made of. */
export interface VolumeOpener {
  /** `backend` is what the datapath answered at attach. */
  open(backend: Value, writable: boolean, signal?: AbortSignal): Promise<OpenedVolume>;
}

export interface OpenedVolume extends OpenVolume {
  /** Flushes what was written and lets the volume go. */
  close(): Promise<void>;
}

export interface VolumeOpenerGiven {
  readonly processes: Processes;
  readonly disk: Disk;
  readonly network: Network;
  readonly clock: Clock;
  /** For the sockets of image servers. */
  readonly folder: string;
}

const IMAGE_SERVER_START_MS_MAX = 30_000;
const IMAGE_SERVER_STOP_MS_MAX = 30_000;
const IMAGE_SERVER_OUTPUT_BYTES_MAX = 64 * 1024;
const STOP_POLL_MS = 5;

type Place =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'image'; readonly path: string; readonly format: string }
  | { readonly kind: 'nbd'; readonly endpoint: Endpoint; readonly exportName: string };

type Opened = OpenVolume & { close(): Promise<void> };

export const volumeOpener = async (given: VolumeOpenerGiven): Promise<VolumeOpener> => {
  await given.disk.makeFolder(given.folder);
  await endForgotten(given);
  let servers = 0;

  const openImage = async (path: string, format: string, writable: boolean, signal?: AbortSignal) => {
    servers += 1;
    const server = await startImageServer(given, `${servers}`, { path, format, writable }, signal);
    try {
      const disk = await connectNbd(given, { socketPath: server.socketPath }, EXPORT_NAME);
      return { ...disk, close: () => disk.close().finally(server.ended) };
    } catch (error) {
      await server.kill();
      throw error;
    }
  };

  const openFile = async (path: string, writable: boolean): Promise<Opened> => {
    const { sync, ...file } = await given.disk.open(path, writable ? 'write' : 'read');
    return { ...file, flush: sync };
  };

  return {
    open: async (backend, writable, signal) => {
      const place = placeOf(backend);
      if (place.kind === 'file') return guarded(await openFile(place.path, writable), writable);
      if (place.kind === 'image') {
        return guarded(await openImage(place.path, place.format, writable, signal), writable);
      }
      const disk = await connectNbd(given, place.endpoint, place.exportName);
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
  const format = xen && optionalMember(member(xen, 'extra'), 'format');
  const params = textOf('xendisk', 'params');
  if (typeof format === 'string' && format !== 'raw' && params !== undefined) {
    return { kind: 'image', path: params, format };
  }
  const uri = textOf('nbd', 'uri');
  const path = textOf('file', 'path') ?? textOf('blockdevice', 'path') ?? (uri ? undefined : params);
  if (path !== undefined && isAbsolute(path)) return { kind: 'file', path };
  if (uri !== undefined) return nbdPlace(uri);
  throw new StorageError('SR_BACKEND_FAILURE', ['No known way to read the volume', '', '']);
};

/** `nbd:unix:<path>:exportname=<name>`, as datapaths write it, or `nbd+unix:///<name>?socket=<path>`. */
const nbdPlace = (uri: string): Place => {
  const [, socketPath, exportName] = /^nbd:unix:(.+?)(?::exportname=(.*))?$/.exec(uri) ?? [];
  if (socketPath !== undefined)
    return { kind: 'nbd', endpoint: { socketPath }, exportName: exportName ?? '' };
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const socket = url?.protocol === 'nbd+unix:' ? url.searchParams.get('socket') : null;
  if (url === undefined || socket === null) {
    throw new StorageError('SR_BACKEND_FAILURE', ['Not an NBD address that can be used', uri, '']);
  }
  const name = decodeURIComponent(url.pathname.slice(1));
  return { kind: 'nbd', endpoint: { socketPath: socket }, exportName: name };
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
    close: () => {
      closing ??= close();
      return closing;
    },
  };
};

const EXPORT_NAME = 'volume';

interface ImageServer {
  readonly socketPath: string;
  /** Resolves when it has let the image go; it ends by itself with its last connection. */
  ended(): Promise<void>;
  kill(): Promise<void>;
}

/** `qemu-nbd` serves what the image means. It returns once it listens, and goes on in the background. */
const startImageServer = async (
  { processes, disk, clock, folder }: VolumeOpenerGiven,
  name: string,
  image: { readonly path: string; readonly format: string; readonly writable: boolean },
  signal?: AbortSignal,
): Promise<ImageServer> => {
  const socketPath = join(folder, `${name}.sock`);
  const pidFile = join(folder, `${name}.pid`);
  const access = image.writable ? ['--discard=unmap', '--detect-zeroes=unmap'] : ['--read-only'];
  const place = [`--socket=${socketPath}`, `--pid-file=${pidFile}`, `--export-name=${EXPORT_NAME}`];
  const finished = await processes.run(
    'qemu-nbd',
    ['--fork', ...place, ...access, `--format=${image.format}`, '--', image.path],
    {
      timeoutMs: IMAGE_SERVER_START_MS_MAX,
      outputMax: IMAGE_SERVER_OUTPUT_BYTES_MAX,
      ...(signal && { signal }),
    },
  );
  if (finished.code !== 0) {
    const why = finished.stderr.trim();
    const locked = /Failed to get ".*" lock/.test(why);
    throw locked
      ? new StorageError('VDI_IN_USE', [image.path, 'attach'])
      : new StorageError('SR_BACKEND_FAILURE', ['The image could not be opened', '', why]);
  }
  const pid = Number((await disk.readText(pidFile, 64)).trim());

  const ended = async (): Promise<void> => {
    const deadlineMs = clock.monotonicMs() + IMAGE_SERVER_STOP_MS_MAX;
    while (processes.isAlive(pid)) {
      if (clock.monotonicMs() > deadlineMs) processes.signal(pid, 'SIGKILL');
      await sleep(clock, STOP_POLL_MS);
    }
    for (const path of [socketPath, pidFile]) if (await disk.exists(path)) await disk.remove(path);
  };
  return {
    socketPath,
    ended,
    kill: () => {
      processes.signal(pid, 'SIGKILL');
      return ended();
    },
  };
};

/**
 * A server whose starter was killed before it connected waits for a first connection for ever. Given
 * one that goes away, it ends.
 */
const endForgotten = async (given: VolumeOpenerGiven): Promise<void> => {
  const { disk, folder } = given;
  for (const { name } of await disk.list(folder)) {
    const path = join(folder, name);
    if (name.endsWith('.sock')) {
      await connectNbd(given, { socketPath: path }, EXPORT_NAME).then(
        (server) => server.close(),
        () => {},
      );
    }
    if (await disk.exists(path)) await disk.remove(path);
  }
};
