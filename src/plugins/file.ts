import { nodeDisk } from '../drivers/node/disk.ts';
import { nodeProcesses } from '../drivers/node/processes.ts';
import { nodeRandom } from '../drivers/node/random.ts';
import { filePlugin } from './file/plugin.ts';
import { serveScript } from './script.ts';

await serveScript(filePlugin({ disk: nodeDisk, processes: nodeProcesses, random: nodeRandom }));
