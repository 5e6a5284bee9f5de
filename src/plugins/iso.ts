import { nodeDisk } from '../drivers/node/disk.ts';
import { isoPlugin } from './iso/plugin.ts';
import { ownFolders, serveScript } from './script.ts';

await serveScript(isoPlugin({ disk: nodeDisk, own: ownFolders() }));
