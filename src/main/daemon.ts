import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { xmlCall } from '../codec/xmlrpc-writer.ts';
import type { Disk } from '../drivers/disk.ts';
import type { Network } from '../drivers/network.ts';
import type { Processes } from '../drivers/processes.ts';
import { type Clock, sleep } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import { struct } from '../std/value.ts';
import type { Paths } from './paths.ts';
import { StartFailure } from './start-failure.ts';

/** Our own xenopsd, in a process that outlives this one: guests go on while xenact restarts. */
export interface DaemonProcess {
  /** Starts the daemon unless one already answers on the socket. Resolves once it answers. */
  ensure(): Promise<void>;
  /** Asks the daemon to end. Its guests go on. */
  stop(): Promise<void>;
}

export interface DaemonProcessOptions {
  readonly backend: 'qemu' | 'sim';
  readonly simConfig: string | undefined;
  readonly guestKernels: string | undefined;
  readonly guestUsers: string | undefined;
  readonly paths: Paths;
  readonly processes: Processes;
  readonly network: Network;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
}

const startMsMax = 20_000;
const pollMs = 50;
const startsMax = 5;
const logTailBytes = 1 << 16;
const reasonCharsMax = 500;
const callMs = 5_000;
const answerBytesMax = 1 << 16;

export const xenopsdDaemon = (options: DaemonProcessOptions): DaemonProcess => {
  const { paths, network, clock } = options;
  const program = fileURLToPath(new URL('../daemons/xenopsd/main.js', import.meta.url));

  const ask = (method: string): Promise<{ status: number }> =>
    network.post(
      { socketPath: paths.xenopsdSocket },
      '/',
      xmlCall(method, [struct({ debug_info: 'xenact', unit: null })]),
      { contentType: 'text/xml', timeoutMs: callMs, responseMax: answerBytesMax },
    );

  const answers = async (): Promise<boolean> => {
    try {
      return (await ask('query')).status === 200;
    } catch {
      return false;
    }
  };

  /** Resolves with false when the daemon ended before it answered. */
  const begin = async (): Promise<boolean> => {
    const pid = await options.processes.detach(
      process.execPath,
      [
        program,
        ...['--backend', options.backend, '--socket', paths.xenopsdSocket, '--state', paths.xenopsdState],
        ...['--storage-socket', paths.storageSocket],
        ...(options.simConfig === undefined ? [] : ['--config', options.simConfig]),
        ...(options.guestUsers === undefined ? [] : ['--guest-users', options.guestUsers]),
        ...['--data-folder', dirname(paths.defaultSr)],
        ...(options.guestKernels === undefined ? [] : ['--guest-kernels', resolve(options.guestKernels)]),
      ],
      { logFile: paths.xenopsdLog },
    );
    for (let waitedMs = 0; waitedMs < startMsMax; waitedMs += pollMs) {
      if (await answers()) return true;
      if (!options.processes.isAlive(pid)) return answers();
      await sleep(clock, pollMs);
    }
    return answers();
  };
  /** One that is killed while it starts is started again; one that says why it cannot is believed. */
  const start = async (): Promise<void> => {
    for (let tries = 0; tries < startsMax; tries += 1) {
      const sizeBefore = await logBytes(options);
      if (await begin()) return;
      const why = await reasonIn(options, sizeBefore);
      if (why === undefined) continue;
      throw new StartFailure(
        `The hypervisor daemon xenopsd-${options.backend} does not start; see ${paths.xenopsdLog}: ${why}`,
      );
    }
    throw new StartFailure(
      `The hypervisor daemon xenopsd-${options.backend} was ended ${startsMax} times while it started; ` +
        `see ${paths.xenopsdLog}`,
    );
  };

  let starting: Promise<void> | undefined;
  return {
    ensure: () => {
      starting ??= answers()
        .then((alive) => (alive ? undefined : start()))
        .finally(() => {
          starting = undefined;
        });
      return starting;
    },
    stop: async () => {
      await ask('DEBUG.shutdown').catch(() => undefined);
    },
  };
};

const logBytes = async ({ disk, paths }: DaemonProcessOptions): Promise<bigint> => {
  if (!(await disk.exists(paths.xenopsdLog))) return 0n;
  const file = await disk.open(paths.xenopsdLog, 'read');
  await file.close();
  return file.sizeBytes;
};

/** What the daemon wrote of why it cannot start, after the place in its log where this start begins. */
const reasonIn = async (
  { disk, paths }: DaemonProcessOptions,
  since: bigint,
): Promise<string | undefined> => {
  const file = await disk.open(paths.xenopsdLog, 'read');
  try {
    const tail = Buffer.alloc(logTailBytes);
    const text = tail.subarray(0, await file.read(tail, since)).toString('utf8');
    return /"message":"cannot start: ((?:[^"\\]|\\.)*)"/.exec(text)?.[1]?.slice(0, reasonCharsMax);
  } finally {
    await file.close();
  }
};
