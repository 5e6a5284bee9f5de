import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { findScripts, type ScriptFolder, scriptLimits } from '../../src/drivers/storage/scripts.ts';
import { installPlugins } from '../../src/plugins/install.ts';
import { figure, quantile, secondsOf, verdict } from './figures.ts';
import { sized } from './sizes.ts';

const calls = sized(200, 3);
const rounds = sized(5, 1);
const programs = fileURLToPath(new URL('../../src/plugins', import.meta.url));

/** What a call of a storage plugin costs that does nothing, beside the start of a program that does nothing. */
export const pluginCall = async (print: (line: string) => void): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-plugin-'));
  try {
    const own = { data: folder, run: folder };
    await installPlugins(nodeDisk, folder, { programs, node: process.execPath, own });
    const by = { disk: nodeDisk, processes: nodeProcesses, limits: scriptLimits };
    const { datapath } = await findScripts(by, [folder]);
    const plugin = datapath.get('raw+file') as ScriptFolder;
    const ratios: number[] = [];
    const [nothing, bare]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      nothing.push(await msEach(() => plugin.run('Datapath.activate', {}, { debugInfo: 'bench' }, () => {})));
      bare.push(
        await msEach(() => nodeProcesses.run('/bin/true', [], { timeoutMs: 60_000, outputMax: 1_024 })),
      );
      ratios.push((nothing.at(-1) as number) / (bare.at(-1) as number));
    }
    print(`calls of a storage plugin that do nothing, one after another, ${rounds} times ${calls}`);
    print(figure('a call', nothing, 2, ' ms'));
    print(figure('/bin/true', bare, 2, ' ms'));
    print(verdict({ name: 'a call beside /bin/true', values: ratios, atMost: 1.5 }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const msEach = async (call: () => Promise<unknown>): Promise<number> => {
  const took: number[] = [];
  for (let n = 0; n < calls; n++) took.push(1_000 * (await secondsOf(call)));
  return quantile(took, 0.5);
};
