import { NetworkFailure, type Serving } from '../drivers/network.ts';
import type { Machine } from './machine.ts';
import type { Paths } from './paths.ts';
import { StartFailure } from './start-failure.ts';

const requestBytesMax = 1024;

/**
 * Makes the data folder this process's own: whoever listens on its socket has it. A socket dies with its
 * process however that ends, so there is no stale lock to remove.
 */
export const lockFolder = async ({ network }: Machine, paths: Paths): Promise<Serving> => {
  const answer = async () => ({ status: 200, contentType: 'text/plain', body: 'xenact\n' });
  try {
    return await network.serve({ socketPath: paths.apiSocket }, answer, { bodyMax: requestBytesMax });
  } catch (error) {
    if (!(error instanceof NetworkFailure) || error.reason !== 'in-use') throw error;
    throw new StartFailure(
      `Another xenact already runs on the data folder ${paths.data}. Stop it, or give another folder with --data.`,
    );
  }
};
