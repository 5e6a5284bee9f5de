import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { listedRoles } from '../objects/roles.ts';
import { openStateFile } from '../pool/state.ts';
import { Fault } from '../std/fault.ts';
import { own } from '../std/own.ts';
import { itemsOf, optional, required, stringOf } from '../std/reader.ts';
import { askSocket } from './ask-socket.ts';
import { fileCredentials, madeUpPassword } from './credentials.ts';
import { type Environment, folderFlags, readFlags, UsageError } from './flags.ts';
import { FolderTaken, lockFolder } from './lock.ts';
import { machine } from './machine.ts';
import { type Paths, pathsFor } from './paths.ts';
import { StartFailure } from './start-failure.ts';
import { doUserCommand, type ListedUser, stoppedUsers, type UserCommand } from './users.ts';

const help = `Usage: xenact user ACT [NAME] [FLAG ...]

Who may log in to this pool, and with which role. Run it on the coordinator, as the user that xenact runs as.

  list                     everybody, with the role
  add NAME --role ROLE     a new user
  role NAME --role ROLE    another role, at once also for sessions that are open
  password NAME            another password; the user's sessions end
  remove NAME              the user, with role and sessions

  --role ROLE      one of ${listedRoles.join(', ')}
  --password PW    the password, or - to read it from the standard input. Without it, XENACT_USER_PASSWORD
                   in the environment; else a terminal asks for it; else one is made up and printed
  --data DIR       the host's data folder, or XENACT_DATA (default: as of xenact up)

A host that runs does it at once. On one that is stopped, roles take effect with its next start.
`;

const acts = ['list', 'add', 'role', 'password', 'remove'] as const;

export const userFlags = {
  role: { type: 'string' },
  password: { type: 'string' },
  ...folderFlags,
} as const;

export const userCommand = async (
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> => {
  const { values, positionals } = readFlags(args, userFlags, `\n${help}`, true);
  const [act, name = '', ...more] = positionals;
  if (values.help || act === undefined) return write(help);
  if (!(acts as readonly string[]).includes(act) || more.length > 0 || (act === 'list') !== (name === '')) {
    throw new UsageError(`xenact user does ${acts.join(', ')}; all but list take one NAME.\n\n${help}`);
  }
  const takesRole = act === 'add' || act === 'role';
  if (takesRole !== (values.role !== undefined)) {
    throw new UsageError(
      takesRole ? `xenact user ${act} needs --role` : `xenact user ${act} takes no --role`,
    );
  }
  const takesPassword = act === 'add' || act === 'password';
  const given = takesPassword ? await passwordFor(name, values.password, environment) : undefined;
  const password = takesPassword ? (given ?? madeUpPassword(machine.random)) : undefined;
  const command = { act, ...(name && { name }), role: values.role, password } as UserCommand;
  const paths = pathsFor(values.data, environment);
  const users = await carriedOut(command, paths);
  if (act === 'list')
    return write(users.map(({ name, role }) => `${name.padEnd(32)} ${role ?? 'its last role'}\n`).join(''));
  if (takesPassword && given === undefined) write(`password of ${name}: ${password}   (shown only now)\n`);
  write(`${own(done, act)?.(name, values.role)}\n`);
};

const done: Readonly<Record<string, (name: string, role: string | undefined) => string>> = {
  add: (name, role) => `${name} can log in with the role ${role}`,
  role: (name, role) => `${name} has the role ${role}`,
  password: (name) => `${name} has a new password`,
  remove: (name) => `${name} can no longer log in`,
};

/** Undefined where nobody gives one. */
const passwordFor = async (
  name: string,
  flag: string | undefined,
  environment: Environment,
): Promise<string | undefined> => {
  if (flag === '-')
    return (await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()).value;
  const given = flag ?? environment['XENACT_USER_PASSWORD'];
  if (given !== undefined || !process.stdin.isTTY || !process.stderr.isTTY) return given;
  process.stderr.write(`Password of ${name} (empty: one is made up): `);
  const silent = new Writable({ write: (_, __, taken) => taken() });
  const asking = createInterface({ input: process.stdin, output: silent, terminal: true });
  const typed = await asking.question('');
  asking.close();
  process.stderr.write('\n');
  return typed === '' ? undefined : typed;
};

type DataPaths = ReturnType<typeof pathsFor>;

const askMsMax = 60_000;

/** By the host that runs on the folder, else in the folder itself. */
const carriedOut = async (command: UserCommand, paths: DataPaths): Promise<readonly ListedUser[]> => {
  if (!(await machine.disk.exists(paths.credentials))) {
    throw new StartFailure(
      `There is no host in ${paths.data}. Name its data folder with --data, or start it once.`,
    );
  }
  try {
    await machine.disk.makeFolder(paths.run, 0o700);
    const lock = await lockFolder(machine, paths);
    try {
      return await whileStopped(command, paths);
    } finally {
      await lock.close();
    }
  } catch (error) {
    if (error instanceof FolderTaken) return askHost(command, paths);
    throw error instanceof Fault ? refused(error.message) : error;
  }
};

const refused = (why: string): StartFailure => new StartFailure(`Nothing was changed: ${why}`);

const whileStopped = async (command: UserCommand, paths: Paths): Promise<readonly ListedUser[]> => {
  const { disk } = machine;
  const credentials = await fileCredentials({ ...machine, file: paths.credentials });
  const state = await openStateFile(disk, paths.pool);
  return doUserCommand(await stoppedUsers(disk, paths.roles, credentials, state), command);
};

const askHost = async (command: UserCommand, paths: Paths): Promise<readonly ListedUser[]> => {
  try {
    const answer = await askSocket(paths, usersPath, command, askMsMax);
    return required(answer, 'users', (users) => itemsOf(users, listedUserOf, 'users'));
  } catch (error) {
    throw error instanceof StartFailure ? refused(error.message) : error;
  }
};

const listedUserOf = (value: unknown): ListedUser => ({
  name: required(value, 'name', stringOf),
  role: optional(value, 'role', stringOf),
});

export const usersPath = '/users';
