import { resolve } from 'node:path';
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
export interface Daemon {
  /** Starts the daemon unless one already answers on the socket. Resolves once it answers. */
  ensure(): Promise<void>;
  /** Asks the daemon to end. Its guests go on. */
  stop(): Promise<void>;
}

export interface DaemonOptions {
  readonly backend: 'qemu' | 'sim';
  readonly simConfig: string | undefined;
  readonly guestKernels: string | undefined;
  readonly paths: Paths;
  readonly processes: Processes;
  readonly network: Network;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
}

const startMsMax = 20_000;
const pollMs = 50;
const callMs = 5_000;
const answerBytesMax = 1 << 16;

export const xenopsdDaemon = (options: DaemonOptions): Daemon => {
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

  const start = async (): Promise<void> => {
    const pid = await options.processes.detach(
      process.execPath,
      [
        program,
        ...['--backend', options.backend, '--socket', paths.xenopsdSocket, '--state', paths.xenopsdState],
        ...['--storage-socket', paths.storageSocket],
        ...(options.simConfig === undefined ? [] : ['--config', options.simConfig]),
        ...(options.guestKernels === undefined ? [] : ['--guest-kernels', resolve(options.guestKernels)]),
      ],
      { logFile: paths.xenopsdLog },
    );
    for (let waitedMs = 0; waitedMs < startMsMax; waitedMs += pollMs) {
      if (await answers()) return;
      if (!options.processes.isAlive(pid)) break;
      await sleep(clock, pollMs);
    }
    if (await answers()) return;
    throw new StartFailure(
      `The hypervisor daemon xenopsd-${options.backend} does not start; see ${paths.xenopsdLog}`,
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
