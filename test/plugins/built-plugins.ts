import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { installPlugins } from '../../src/plugins/install.ts';

// Plugins are processes, and Node 20 runs no TypeScript: compiles them, and what they import, into a
// temporary folder and lays them out there.

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

export interface BuiltPlugins {
  /** What the plugins take for Xenact's data folder. */
  readonly data: string;
  /** For `roots` of the storage layer. */
  readonly scripts: string;
  remove(): Promise<void>;
}

export const buildPlugins = async (): Promise<BuiltPlugins> => {
  const folder = await mkdtemp(join(tmpdir(), 'plugins-'));
  compile(join(folder, 'dist'));
  await mkdir(join(folder, 'dist'), { recursive: true });
  await writeFile(join(folder, 'dist/package.json'), '{"type":"module"}');
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  const scripts = join(folder, 'scripts');
  const programs = join(folder, 'dist/src/plugins');
  const data = join(folder, 'data');
  await installPlugins(nodeDisk, scripts, {
    programs,
    node: process.execPath,
    own: { data, run: join(data, 'run') },
  });
  return { data, scripts, remove: () => rm(folder, { recursive: true, force: true }) };
};

const compile = (outDir: string): void => {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(
    { ...config.config, include: [], files: [] },
    ts.sys,
    root,
  );
  const entries = ['file.ts', 'ext.ts', 'nfs.ts', 'iso.ts', 'datapath.ts'].map((file) =>
    join(root, 'src/plugins', file),
  );
  // Types are checked elsewhere; here only the text is wanted, and quickly.
  const program = ts.createProgram(entries, { ...options, outDir, rootDir: root, noCheck: true, types: [] });
  const { emitSkipped, diagnostics } = program.emit();
  if (emitSkipped) throw new Error(ts.formatDiagnostics(diagnostics, ts.createCompilerHost(options)));
};
