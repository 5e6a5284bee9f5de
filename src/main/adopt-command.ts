import { join } from 'node:path';
import type { Adopted } from '../assembly/adopt.ts';
import { uuidOf } from '../std/ids.ts';
import { type Environment, folderFlags, readFlags, UsageError } from './flags.ts';
import { lockFolder } from './lock.ts';
import { machine } from './machine.ts';
import { keepNext, takeNext } from './next-database.ts';
import { type Paths, pathsFor } from './paths.ts';
import { StartFailure } from './start-failure.ts';

const help = `Usage: xenact adopt --state-db FILE [FLAG ...]

Makes a pool of the database of an XCP-ng or XenServer pool, in an empty data folder: the same references and
uuids of VMs, disks, networks and the rest. What is not as it was is listed first. The file is
/var/lib/xcp/state.db of the coordinator, or what xe pool-dump-database writes; it holds passwords of storage.

  --state-db FILE      the database, packed with gzip or not
  --dry-run            only lists, and writes nothing
  --host UUID[=NEW]    the host of the database that this machine is, and another uuid for it; needed where
                       the database has several and none is this machine's
  --secrets keep|empty what becomes of the values of secrets (default: keep; they are in rows, mode 0600)
  --data DIR           the data folder to make, or XENACT_DATA (default: as of xenact up)

Other hosts join afterwards: xenact up --join.
`;

export const adoptFlags = {
  'state-db': { type: 'string' },
  'dry-run': { type: 'boolean', default: false },
  host: { type: 'string' },
  secrets: { type: 'string', default: 'keep' },
  ...folderFlags,
} as const;

export const adoptCommand = async (
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> => {
  const { values } = readFlags(args, adoptFlags, `\n${help}`);
  if (values.help) return write(help);
  const file = values['state-db'];
  if (file === undefined) throw new UsageError(`Name the database with --state-db.\n\n${help}`);
  if (values.secrets !== 'keep' && values.secrets !== 'empty')
    throw new UsageError(`--secrets is keep or empty.\n\n${help}`);
  const paths = pathsFor(values.data, environment);
  if (!values['dry-run']) await assertEmpty(paths);
  // Other commands start sooner without all of the classes.
  const { adoptedFrom } = await import('./adopted-from.ts');
  const adopted = await adoptedFrom(file, hostSaid(values.host), values.secrets === 'keep');
  write(listOf(adopted));
  if (values['dry-run']) return write('Nothing was written.\n');
  await intoFolder(paths, adopted, write);
  write(`The pool is in ${paths.data}. Start it with xenact up.\n`);
};

const hostSaid = (text: string | undefined) => {
  if (text === undefined) return undefined;
  const [old = '', uuid = old, ...more] = text.split('=');
  if (more.length > 0 || old === '' || (uuid !== old && uuidOf(uuid) === undefined))
    throw new UsageError(`--host is UUID or UUID=NEW, where NEW is a uuid too.\n\n${help}`);
  return { old, uuid };
};

const counted = ['host', 'VM', 'VDI', 'SR', 'network', 'VBD', 'VIF'] as const;

const listOf = ({ rows, changes }: Adopted): string => {
  const counts = counted.map((cls) => `${cls} ${rows.filter((row) => row.cls === cls).length}`);
  const lines = changes.map((one) => `- ${one}.`);
  const heading = lines.length > 0 ? ['What is not as it was:'] : ['Everything is as it was.'];
  return `${[`${rows.length} rows: ${counts.join(', ')}`, ...heading, ...lines].join('\n')}\n`;
};

const assertEmpty = async (paths: Paths): Promise<void> => {
  for (const there of [paths.pool, join(paths.store, 'data.mdb')]) {
    if (!(await machine.disk.exists(there))) continue;
    throw new StartFailure(`${paths.data} has a pool already. Give an empty folder with --data.`);
  }
};

const intoFolder = async (
  paths: Paths & { readonly run: string },
  adopted: Adopted,
  write: (text: string) => void,
): Promise<void> => {
  const { disk } = machine;
  for (const folder of [paths.data, paths.run]) await disk.makeFolder(folder, 0o700);
  const lock = await lockFolder(machine, paths);
  try {
    await assertEmpty(paths);
    await keepNext(machine, paths, adopted, 1);
    await takeNext(machine, paths, (line) => write(`${line}\n`));
  } finally {
    await lock.close();
  }
};
