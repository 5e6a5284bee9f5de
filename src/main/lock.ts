import { NetworkFailure, type PostHandler, type Serving } from '../drivers/network.ts';
import type { Machine } from './machine.ts';
import type { Paths } from './paths.ts';
import { StartFailure } from './start-failure.ts';

const requestBytesMax = 16_384;

/**
 * The data folder is this process's own. Whoever may use the folder can ask it things by the socket in it.
 */
export interface FolderLock extends Serving {
  /** Answers what is posted to a path. */
  serve(path: string, handle: (body: string) => Promise<string>): void;
}

/**
 * Makes the data folder this process's own: whoever listens on its socket has it. A socket dies with its
 * process however that ends, so there is no stale lock to remove.
 */
export const lockFolder = async (
  { network }: Pick<Machine, 'network'>,
  paths: Pick<Paths, 'apiSocket' | 'data'>,
): Promise<FolderLock> => {
  const served = new Map<string, (body: string) => Promise<string>>();
  const answer: PostHandler = async ({ path, body }) => {
    const handle = served.get(path);
    if (handle === undefined) return { status: 503, contentType: 'text/plain', body: 'xenact\n' };
    return { status: 200, contentType: 'application/json', body: await handle(body) };
  };
  try {
    const serving = await network.serve({ socketPath: paths.apiSocket }, answer, {
      bodyMax: requestBytesMax,
    });
    return { ...serving, serve: (path, handle) => void served.set(path, handle) };
  } catch (error) {
    if (!(error instanceof NetworkFailure) || error.reason !== 'in-use') throw error;
    throw new FolderTaken(
      `Another xenact already runs on the data folder ${paths.data}. Stop it, or give another folder with ` +
        `--data.`,
    );
  }
};

/** Another process has the folder. */
export class FolderTaken extends StartFailure {
  constructor(message: string) {
    super(message);
    this.name = 'FolderTaken';
  }
}
