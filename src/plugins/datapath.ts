import { nodeDisk } from '../drivers/node/disk.ts';
import { nodeFileLocks } from '../drivers/node/file-locks.ts';
import { imageDatapath } from './datapath/plugin.ts';
import { ownHost, serveScript } from './script.ts';

await serveScript(imageDatapath({ disk: nodeDisk, locks: nodeFileLocks, ...ownHost() }));
