import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { installPlugins } from '../../src/plugins/install.ts';

// Plugins are processes: the built ones, laid out in a temporary folder.

export const programs = resolve(dirname(fileURLToPath(import.meta.url)), '../../dist/src/plugins');

export interface BuiltPlugins {
  /** What the plugins take for Xenact's data folder. */
  readonly data: string;
  /** For `roots` of the storage layer. */
  readonly scripts: string;
  remove(): Promise<void>;
}

export const buildPlugins = async (): Promise<BuiltPlugins> => {
  const folder = await mkdtemp(join(tmpdir(), 'plugins-'));
  const [scripts, data] = [join(folder, 'scripts'), join(folder, 'data')];
  const own = { data, run: join(data, 'run') };
  await installPlugins(nodeDisk, scripts, { programs, node: process.execPath, own });
  return { data, scripts, remove: () => rm(folder, { recursive: true, force: true }) };
};
