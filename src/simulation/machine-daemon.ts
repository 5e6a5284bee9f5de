import type { Backend } from '../daemons/xenopsd/backend.ts';
import { xenopsDaemon } from '../daemons/xenopsd/server.ts';
import { simBackend } from '../daemons/xenopsd/sim.ts';
import { type SimConfig, type SimOperation, simOperations } from '../daemons/xenopsd/sim-config.ts';
import type { Clock } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import { type Life, lifeOf } from './life.ts';
import type { MachineGuests } from './machine-guests.ts';
import type { MemoryDisk } from './memory-disk.ts';
import type { MemoryNetwork } from './memory-network.ts';
import type { SeededRandom } from './random.ts';

/** The hypervisor daemon of a simulated machine: the real one, over guests that are simulated. */
export interface MachineDaemon {
  /** Starts it unless it runs. Resolves once it answers. */
  ensure(): Promise<void>;
  /** Ends it at once; its guests go on. */
  kill(): void;
}

export interface MachineDaemonOptions {
  readonly machine: string;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly network: MemoryNetwork;
  readonly disk: MemoryDisk;
  readonly guests: MachineGuests;
  readonly log: Log;
  /** What an operation takes, evenly between the two. */
  readonly operationMs: readonly [least: number, most: number];
  /** A fault that is put into how guests are had. */
  readonly sabotage?: ((backend: Backend) => Backend) | undefined;
}

/** Where the programs of a simulated machine are found by each other. */
export const sockets = { xenopsd: '/run/xenopsd', storage: '/run/storage' } as const;
const stateFolder = '/var/xenopsd';

export const machineDaemon = (options: MachineDaemonOptions): MachineDaemon => {
  const { machine, clock, random, operationMs } = options;
  let life: Life | undefined;
  let starting: Promise<void> | undefined;
  let starts = 0;
  const start = async (): Promise<void> => {
    starts += 1;
    const own = lifeOf(`xenopsd of ${machine}`, clock);
    life = own;
    const chance = random.split(`daemon ${starts}`);
    const { network, log } = options;
    const disk = options.disk.of(own);
    const backend = simBackend({
      ...{ clock: own, disk, guests: options.guests.of(own) },
      config: { delaysMs: delaysOf(chance, operationMs) },
    });
    await xenopsDaemon({
      backend: options.sabotage?.(backend) ?? backend,
      ...{ disk, log, clock: own, random: chance, state: stateFolder },
      network: network.of(machine, own),
      endpoint: { socketPath: sockets.xenopsd },
      storage: { socketPath: sockets.storage },
    });
  };
  const kill = (): void => {
    const ended = life;
    life = undefined;
    starting = undefined;
    ended?.end();
  };
  return {
    ensure: () => {
      if (starting !== undefined) return starting;
      const begun = start().catch((error: unknown) => {
        // It said why it cannot start, and has ended.
        if (starting === begun) kill();
        throw error;
      });
      starting = begun;
      return begun;
    },
    kill,
  };
};

const slow: readonly SimOperation[] = ['start', 'destroy', 'send', 'receive', 'suspend', 'resume', 'arrive'];

const delaysOf = (
  random: SeededRandom,
  [least, most]: MachineDaemonOptions['operationMs'],
): NonNullable<SimConfig['delaysMs']> =>
  Object.fromEntries(
    simOperations
      .filter((one) => slow.includes(one))
      .map((one) => [one, least + random.fraction() * (most - least)]),
  );
