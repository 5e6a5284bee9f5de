import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';
import { type HostStorage, hostStorage } from '../../../src/drivers/storage/host-storage.ts';
import type { ScriptLimits } from '../../../src/drivers/storage/scripts.ts';
import { silentLog } from '../../../src/std/log.ts';

// A host with storage, and its restarts: everything real but the log.

export interface Host {
  readonly folder: string;
  readonly storage: HostStorage;
  /** A second life that knows only what the first wrote down. */
  restart(): Promise<HostStorage>;
  remove(): Promise<void>;
}

export const startHost = async (roots: readonly string[], limits?: ScriptLimits): Promise<Host> => {
  const folder = await mkdtemp(join(tmpdir(), 'host-'));
  const start = (): Promise<HostStorage> =>
    hostStorage({
      roots,
      stateFolder: join(folder, 'state'),
      processes: nodeProcesses,
      disk: nodeDisk,
      network: nodeNetwork,
      clock: nodeClock,
      log: silentLog,
      ...(limits && { limits }),
    });
  const storage = await start();
  return {
    folder,
    storage,
    restart: start,
    remove: async () => {
      await storage.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
};

export const call = { debugInfo: 'test' };
