import { open, rename, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { resolve } from 'node:path';
import { checkedBackup } from '../pool/backup.ts';
import { formatVersion } from '../store/migrations.ts';
import { chunksOf } from './file-chunks.ts';
import { type Environment, folderFlags, readFlags, UsageError } from './flags.ts';
import { machine } from './machine.ts';
import { type Paths, pathsFor } from './paths.ts';
import { restore } from './restoring.ts';
import { StartFailure } from './start-failure.ts';

const backupHelp = `Usage: xenact backup FILE [FLAG ...]

Writes what the pool of the host that runs here is made of into a new FILE: its rows, its users and the
certificate that clients know. Nothing stops for it. FILE holds secrets and is for its owner alone; disks are
not in it. Run it as the user that xenact runs as.

  --data DIR            the host's data folder, or XENACT_DATA (default: as of xenact up)
  --xapi-socket PATH    the host's own socket, where xenact up was given another
`;

const restoreHelp = `Usage: xenact restore FILE [FLAG ...]

Makes a host of a backup, in a data folder that is not there yet or empty. The host leads the pool alone, and
VMs are halted; start it with xenact up, and let the others join. See docs/pool.md for disks.

  --data DIR            the new data folder, or XENACT_DATA (default: as of xenact up)
`;

export const backupFlags = { ...folderFlags, 'xapi-socket': { type: 'string' } } as const;
export const restoreFlags = folderFlags;

type Write = (text: string) => void;

const oneFile = (positionals: readonly string[], help: string): string => {
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new UsageError(`It takes one FILE.\n\n${help}`);
  return resolve(file);
};

export const backupCommand = async (
  args: readonly string[],
  environment: Environment,
  write: Write,
): Promise<void> => {
  const { values, positionals } = readFlags(args, backupFlags, `\n${backupHelp}`, true);
  if (values.help) return write(backupHelp);
  const file = oneFile(positionals, backupHelp);
  const paths = pathsFor(values.data, environment);
  if (await machine.disk.exists(file))
    throw new StartFailure(`${file} is there already: name another, nothing is written over`);
  const part = `${file}.part`;
  try {
    await take(values['xapi-socket'] ?? paths.xapiSocket, paths, part);
    const { name, at } = await checkedBackup(chunksOf(machine.disk, part), formatVersion);
    await rename(part, file);
    write(`${file} has the pool ${name} as of ${at}\n`);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
};

/** What the host gives, once it has begun to. */
const given = (socketPath: string, { data }: Pick<Paths, 'data'>): Promise<AsyncIterable<Uint8Array>> =>
  new Promise((resolve, reject) => {
    const refuse = (why: string): void => reject(new StartFailure(`The host of ${data} ${why}`));
    const asked = request({ socketPath, path: '/host_backup' }, (answer) => {
      if (answer.statusCode === 200) return resolve(answer);
      answer.resume();
      refuse(`answered ${answer.statusCode}: try again in a moment`);
    });
    asked.once('error', ({ message }) =>
      refuse(`does not answer (${message}). Start it, or name its data folder with --data`),
    );
    asked.end();
  });

/** Brings it into a new file. */
const take = async (socketPath: string, paths: Pick<Paths, 'data'>, path: string): Promise<void> => {
  const file = await open(path, 'w', 0o600);
  try {
    await file.chmod(0o600);
    for await (const piece of await given(socketPath, paths)) await file.write(piece);
    await file.sync();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
    throw new StartFailure(`The host of ${paths.data} broke off: its log may tell why`);
  } finally {
    await file.close();
  }
};

export const restoreCommand = async (
  args: readonly string[],
  environment: Environment,
  write: Write,
): Promise<void> => {
  const { values, positionals } = readFlags(args, restoreFlags, `\n${restoreHelp}`, true);
  if (values.help) return write(restoreHelp);
  const paths = pathsFor(values.data, environment);
  const { name, at } = await restore(oneFile(positionals, restoreHelp), paths);
  write(`${paths.data} has the pool ${name} as of ${at}: start it with xenact up --data ${paths.data}\n`);
};
