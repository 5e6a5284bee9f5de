import { join } from 'node:path';
import type { Disk } from '../drivers/disk.ts';
import { nodeDisk } from '../drivers/node/disk.ts';
import { nodeFileLocks } from '../drivers/node/file-locks.ts';
import { nodeProcesses } from '../drivers/node/processes.ts';
import { nodeRandom } from '../drivers/node/random.ts';
import type { OwnFolders } from '../std/repository-folder.ts';
import { imageDatapath } from './datapath/plugin.ts';
import { filePlugin } from './file/plugin.ts';
import { isoPlugin } from './iso/plugin.ts';
import { extPlugin } from './mounted/ext.ts';
import { nfsPlugin } from './mounted/nfs.ts';
import type { Methods, ScriptMethod } from './script.ts';

/** To ask the plugins which methods they have; nothing of it is used. */
const given = {
  disk: nodeDisk,
  processes: nodeProcesses,
  random: nodeRandom,
  locks: nodeFileLocks,
  host: '',
  own: { data: '', run: '' },
};
const datapath = imageDatapath(given);

/** Folder below the root, the program that serves it, and what it can do. */
const plugins: readonly (readonly [folder: string, program: string, methods: Methods])[] = [
  ['volume/org.xen.xapi.storage.file', 'file.js', filePlugin(given)],
  ['volume/org.xen.xapi.storage.ext', 'ext.js', extPlugin(given)],
  ['volume/org.xen.xapi.storage.nfs', 'nfs.js', nfsPlugin(given)],
  ['volume/org.xen.xapi.storage.iso', 'iso.js', isoPlugin(given)],
  ['datapath/raw+file', 'datapath.js', datapath],
  ['datapath/qcow2+file', 'datapath.js', datapath],
];

/**
 * Lays out our plugins as SMAPIv3 wants them: a folder for each, an executable for each method.
 * `programs` is where the compiled `file.js` and the others are, `node` what runs them; both absolute.
 */
export const installPlugins = async (
  disk: Disk,
  root: string,
  from: { readonly programs: string; readonly node: string; readonly own: OwnFolders },
): Promise<void> => {
  const host = await hostIn(disk, root);
  for (const [folder, program, methods] of plugins) {
    const path = join(root, folder);
    await disk.makeFolder(path, 0o700);
    const words = [from.node, join(from.programs, program)].map(quoted).join(' ');
    const about = [from.own.data, from.own.run, host].map(quoted).join(' ');
    const run = `${words} "$0" ${about} "$@"`;
    for (const [method, work] of Object.entries(methods)) {
      const script = sameAnswer(work) ?? scriptOf(program, method, run);
      await replaceIfOther(disk, join(path, method), `#!/bin/sh\n${script}\n`);
    }
  }
};

/** What tells this host from others that have the same folder; made once. */
const hostIn = async (disk: Disk, root: string): Promise<string> => {
  const path = join(root, 'host');
  await disk.makeFolder(root, 0o700);
  if (!(await disk.exists(path))) await disk.replaceText(path, nodeRandom.uuid());
  return disk.readText(path, 64);
};

/** What these mount is for the call alone, and is gone when it ends, also by a kill. */
const mountsForItself: readonly string[] = ['SR.create', 'SR.probe'];
const mounting: readonly string[] = ['ext.js', 'iso.js', 'nfs.js'];

const scriptOf = (program: string, method: string, run: string): string =>
  mounting.includes(program) && mountsForItself.includes(method)
    ? `unshare --mount true 2>/dev/null && exec unshare --mount ${run}\nexec ${run}`
    : `exec ${run}`;

/**
 * A method that always answers the same needs no Node, which takes most of a call's time. It reads what it is
 * asked all the same, which some callers cannot do without.
 */
const sameAnswer = ({ answer }: ScriptMethod): string | undefined =>
  answer === undefined ? undefined : `while read -r _; do :; done\nprintf '%s\\n' ${quoted(answer)}`;

const SCRIPT_BYTES_MAX = 64 * 1024;

/** A start of the toolstack finds nearly always what it left, and syncs nothing. */
const replaceIfOther = async (disk: Disk, path: string, text: string): Promise<void> => {
  const current = (await disk.isExecutable(path)) ? await disk.readText(path, SCRIPT_BYTES_MAX) : undefined;
  if (current !== text) await disk.replaceText(path, text, 0o700);
};

/** For the shell, whatever is in the path. */
const quoted = (path: string): string => `'${path.replaceAll("'", "'\\''")}'`;
