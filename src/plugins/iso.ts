import { nodeDisk } from '../drivers/node/disk.ts';
import { isoPlugin } from './iso/plugin.ts';
import { ownHost, serveScript } from './script.ts';

await serveScript(isoPlugin({ disk: nodeDisk, ...ownHost() }));
