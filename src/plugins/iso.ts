import { nodeDisk } from '../drivers/node/disk.ts';
import { nodeProcesses } from '../drivers/node/processes.ts';
import { nodeRandom } from '../drivers/node/random.ts';
import { isoPlugin } from './iso/plugin.ts';
import { ownHost, serveScript } from './script.ts';

const given = { disk: nodeDisk, processes: nodeProcesses, random: nodeRandom };
await serveScript(isoPlugin({ ...given, ...ownHost() }));
