import { join } from 'node:path';
import { type Clock, sleep } from '../../std/clock.ts';
import type { Disk } from '../disk.ts';
import { type DiskImage, imageArgument } from '../disk-image.ts';
import type { Network } from '../network.ts';
import { type Processes, ProcessFailure } from '../processes.ts';
import { connectNbd } from './nbd.ts';
import { StorageError } from './storage.ts';

// A disk image is not the disk's bytes. `qemu-nbd` serves those on a Unix socket, for as long as this
// process is connected: should this one be killed, the server ends and lets the image go.

export interface ImageServerGiven {
  readonly processes: Processes;
  readonly disk: Disk;
  readonly network: Network;
  readonly clock: Clock;
  /** For the sockets of image servers. */
  readonly folder: string;
}

export const EXPORT_NAME = 'volume';

const START_MS_MAX = 30_000;
const STOP_MS_MAX = 30_000;
const OUTPUT_BYTES_MAX = 64 * 1024;
const PID_CHARS_MAX = 64;
/** This process, and programs of the host that were told where the disk is. */
const CLIENTS_MAX = 16;
const STOP_POLL_MS = 5;

export interface ImageServer {
  readonly socketPath: string;
  /** Resolves when it has let the image go; it ends by itself with its last connection. */
  ended(): Promise<void>;
  kill(): Promise<void>;
}

/**
 * `qemu-nbd` serves what the image means. It returns once it listens, which takes no time worth
 * cancelling, and goes on in the background.
 */
export const startImageServer = async (
  { processes, disk, clock, folder }: ImageServerGiven,
  name: string,
  image: DiskImage,
  writable: boolean,
): Promise<ImageServer> => {
  const socketPath = join(folder, `${name}.sock`);
  const pidFile = join(folder, `${name}.pid`);
  const access = writable ? ['--discard=unmap', '--detect-zeroes=unmap'] : ['--read-only'];
  const place = [`--socket=${socketPath}`, `--pid-file=${pidFile}`, `--export-name=${EXPORT_NAME}`];
  const shared = `--shared=${CLIENTS_MAX}`;
  const finished = await processes
    .run('qemu-nbd', ['--fork', ...place, shared, ...access, '--', imageArgument(image)], {
      timeoutMs: START_MS_MAX,
      outputMax: OUTPUT_BYTES_MAX,
    })
    .catch((error: unknown) => {
      if (!(error instanceof ProcessFailure)) throw error;
      throw new StorageError('SR_BACKEND_FAILURE', ['qemu-nbd could not be used', '', error.message]);
    });
  const clean = async (): Promise<void> => {
    for (const path of [socketPath, pidFile]) if (await disk.exists(path)) await disk.remove(path);
  };
  if (finished.code !== 0) {
    await clean();
    const why = finished.stderr.trim();
    const locked = /Failed to get ".*" lock/.test(why);
    throw locked
      ? new StorageError('VDI_IN_USE', [image.path, 'attach'])
      : new StorageError('SR_BACKEND_FAILURE', ['The image could not be opened', '', why]);
  }
  const pid = Number((await disk.readText(pidFile, PID_CHARS_MAX)).trim());

  const ended = async (): Promise<void> => {
    const deadlineMs = clock.monotonicMs() + STOP_MS_MAX;
    while (processes.isAlive(pid)) {
      if (clock.monotonicMs() > deadlineMs) processes.signal(pid, 'SIGKILL');
      await sleep(clock, STOP_POLL_MS);
    }
    await clean();
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
export const endForgottenServers = async (given: ImageServerGiven): Promise<void> => {
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
