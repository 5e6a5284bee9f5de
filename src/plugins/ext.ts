import { nodeDisk } from '../drivers/node/disk.ts';
import { nodeFileLocks } from '../drivers/node/file-locks.ts';
import { nodeProcesses } from '../drivers/node/processes.ts';
import { nodeRandom } from '../drivers/node/random.ts';
import { extPlugin } from './mounted/ext.ts';
import { ownHost, serveScript } from './script.ts';

const given = { disk: nodeDisk, processes: nodeProcesses, random: nodeRandom, locks: nodeFileLocks };
await serveScript(extPlugin({ ...given, ...ownHost() }));
