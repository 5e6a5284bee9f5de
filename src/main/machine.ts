import { nodeClock } from '../drivers/node/clock.ts';
import { nodeDisk } from '../drivers/node/disk.ts';
import { nodeHttpServer } from '../drivers/node/http-server.ts';
import { nodeNetwork } from '../drivers/node/network.ts';
import { nodeProcesses } from '../drivers/node/processes.ts';
import { nodeRandom } from '../drivers/node/random.ts';
import { nodeTurns } from '../drivers/node/turns.ts';

/** The machine that this process runs on, as the rooms see it. */
export const machine = {
  clock: nodeClock,
  random: nodeRandom,
  disk: nodeDisk,
  network: nodeNetwork,
  processes: nodeProcesses,
  http: nodeHttpServer,
  turns: nodeTurns,
} as const;

export type Machine = typeof machine;
