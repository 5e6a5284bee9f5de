// The program `xenopsd-qemu` or `xenopsd-sim`, as --backend says. Its log is JSON lines on stderr; the
// line with `ready` says that it listens. SIGTERM ends it and leaves the guests running.

import { parseArgs } from 'node:util';
import { guestKernelsIn } from '../../drivers/guest-kernels.ts';
import { nodeClock } from '../../drivers/node/clock.ts';
import { nodeDisk } from '../../drivers/node/disk.ts';
import { nodeNetwork } from '../../drivers/node/network.ts';
import { keepFilesPrivate } from '../../drivers/node/owner-only.ts';
import { nodeProcesses } from '../../drivers/node/processes.ts';
import { nodeRandom } from '../../drivers/node/random.ts';
import { nodeTurns } from '../../drivers/node/turns.ts';
import type { Log } from '../../std/log.ts';
import { logged } from '../../std/logged.ts';
import type { Backend } from './backend.ts';
import type { RestartDelay } from './core.ts';
import { qemuBackend } from './qemu/backend.ts';
import { xenopsDaemon } from './server.ts';
import { simBackend } from './sim.ts';
import { readSimConfig } from './sim-config.ts';
import { copyImages } from './sim-copy.ts';
import { openSimGuests } from './sim-guests.ts';

const USAGE =
  'main.js --backend qemu|sim --socket PATH --state FOLDER --storage-socket PATH [--config FILE]' +
  ' [--guest-kernels FOLDER] [--guest-users FIRST] [--data-folder FOLDER]\n' +
  '  --config is for sim: {"delaysMs": {"start": 5}, "faults": [{"operation": "start", "times": 1}]}';
const CONFIG_MAX = 1024 * 1024;
/** How long operations have to be undone at the end. */
const CLOSING_MS_MAX = 30_000;

const stderrLog = (): Log => {
  const write =
    (level: string) =>
    (context: object, message: string): void => {
      process.stderr.write(
        `${JSON.stringify({ time: nodeClock.now(), level, message, ...logged(context) })}\n`,
      );
    };
  return { debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') };
};

interface Arguments {
  readonly backend: string;
  readonly socket: string;
  readonly state: string;
  readonly storage: string;
  readonly config: string | undefined;
  readonly guestKernels: string | undefined;
  readonly guestUsers: string | undefined;
  readonly dataFolder: string | undefined;
}

const readArguments = (): Arguments => {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      ...{ backend: text, socket: text, state: text, 'storage-socket': text },
      ...{ config: text, 'guest-kernels': text, 'guest-users': text },
      'data-folder': { type: 'string' },
    },
  });
  const { backend, socket, state, 'storage-socket': storage, config } = values;
  const { 'guest-kernels': guestKernels, 'guest-users': guestUsers, 'data-folder': dataFolder } = values;
  if (backend === undefined || socket === undefined || state === undefined || storage === undefined) {
    throw new Error('--backend, --socket, --state and --storage-socket are needed');
  }
  return { backend, socket, state, storage, config, guestKernels, guestUsers, dataFolder };
};

const backendOf = async (given: Arguments, log: Log): Promise<Backend> => {
  const { backend: kind, state, config } = given;
  const entry = { disk: nodeDisk, network: nodeNetwork, clock: nodeClock, log };
  if (kind === 'qemu') {
    const folder = `${state}/qemu`;
    await nodeDisk.makeFolder(folder);
    const kernels = guestKernelsIn(nodeDisk, given.guestKernels);
    const { dataFolder, guestUsers } = given;
    return qemuBackend({
      ...entry,
      ...{ state: folder, processes: nodeProcesses, random: nodeRandom, kernels },
      ...(dataFolder !== undefined && { dataFolder }),
      // Only root may become others.
      ...(guestUsers !== undefined && process.getuid?.() === 0 && { firstUser: Number(guestUsers) }),
    });
  }
  if (kind !== 'sim') throw new Error(`--backend is qemu or sim, not ${kind}`);
  const rules = config === undefined ? {} : readSimConfig(await nodeDisk.readText(config, CONFIG_MAX));
  const guests = await openSimGuests({ ...entry, state: `${state}/sim` });
  const copy = copyImages({ disk: nodeDisk, processes: nodeProcesses });
  return simBackend({ ...entry, guests, config: rules, copy });
};

/** Simulated guests may restart as often as a test likes. */
const restartsOf = (kind: string): { restarts?: RestartDelay } =>
  kind === 'sim' ? { restarts: { ranMsMin: 0, delayMs: 0 } } : {};

const run = async (log: Log): Promise<void> => {
  const given = readArguments();
  const { backend: kind, socket, state, storage } = given;
  await nodeDisk.makeFolder(state);
  const daemon = await xenopsDaemon({
    backend: await backendOf(given, log),
    network: nodeNetwork,
    disk: nodeDisk,
    clock: nodeClock,
    random: nodeRandom,
    log,
    endpoint: { socketPath: socket },
    storage: { socketPath: storage },
    state,
    ...restartsOf(kind),
    nextTurn: nodeTurns.next,
    onStop: () => void stop(),
  });
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    nodeClock.after(CLOSING_MS_MAX, () => {
      log.error({}, 'operations did not end in time');
      process.exit(1);
    });
    await daemon.close();
    log.info({}, 'stopped');
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  log.info({ socket, backend: kind }, 'ready');
};

keepFilesPrivate();
const log = stderrLog();
run(log).catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  log.error({ error }, `cannot start: ${message}`);
  process.stderr.write(`${USAGE}\n`);
  process.exitCode = 2;
});
