import { nodeDisk } from '../drivers/node/disk.ts';
import { nodeProcesses } from '../drivers/node/processes.ts';
import { nodeRandom } from '../drivers/node/random.ts';
import { filePlugin } from './file/plugin.ts';
import { ownFolders, serveScript } from './script.ts';

const given = { disk: nodeDisk, processes: nodeProcesses, random: nodeRandom };
await serveScript(filePlugin({ ...given, own: ownFolders() }));
