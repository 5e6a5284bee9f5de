// The program `xenact`: reads the command line, starts the host and ends with it.
import { readFile } from 'node:fs/promises';
import { nodeClock } from '../drivers/node/clock.ts';
import { keepFilesPrivate } from '../drivers/node/owner-only.ts';
import { keepTicksFast } from '../drivers/node/ticks.ts';
import { UnusableError } from '../std/unusable.ts';
import { adoptCommand } from './adopt-command.ts';
import { divergedCommand } from './diverged-command.ts';
import { engineCommand } from './engine-command.ts';
import { UsageError } from './flags.ts';
import { inspectCommand } from './inspect.ts';
import { joinTokenCommand } from './join-token.ts';
import { leadCommand } from './lead-command.ts';
import { leaksCommand } from './leaks-command.ts';
import { stderr, xenactLog } from './log.ts';
import { readUpOptions, upHelp } from './options.ts';
import { recentLines } from './recent-lines.ts';
import { StartFailure } from './start-failure.ts';
import { userCommand } from './user-command.ts';
import { version } from './version.ts';
import { xeCommand } from './xe-command.ts';

const help = `Usage: xenact COMMAND [FLAG ...]

  up          start this host (xenact up --help lists its flags)
  sim         serve a simulated pool, for testing clients (xenact sim --help)
  xe          the commands of xe: list, start, stop, copy and so on (xenact xe --help)
  user        say who may log in, and with which role (xenact user --help)
  adopt       make a pool of the database of an XCP-ng or XenServer pool (xenact adopt --help)
  lead        make this host the coordinator of its pool (xenact lead --help)
  diverged    changes that this host had answered and its pool lacks (xenact diverged --help)
  leaks       what this host has that its pool does not know of (xenact leaks --help)
  engine      a cluster of etcd on the pool's hosts, to survive the loss of any one (xenact engine --help)
  backup      write what a running pool is made of into a file (xenact backup --help)
  restore     make a host of such a file (xenact restore --help)
  inspect     look inside a running host or pool (xenact inspect --help)
  join-token  let another host join this one's pool (xenact join-token --help)
  version     print the version
`;

keepFilesPrivate();
keepTicksFast();

const readText = (path: string): Promise<string> => readFile(path, 'utf8');

/** An exit would wait for threads that write to the disk, and those may wait for this one. */
const endAtOnce = (): void => {
  process.kill(process.pid, 'SIGKILL');
};

/** Runs the host until a signal ends it; a restart that a client asked for is a new run in this process. */
const runUp = async (args: readonly string[]): Promise<void> => {
  const options = await readUpOptions(args, process.env, readText);
  const lines = recentLines(stderr());
  const log = xenactLog(options['log-level'] ?? 'warn', lines);
  // Loaded only here, as `sim.ts` is below: other commands start sooner without a host.
  const { up } = await import('./up.ts');
  // Before there is anything to stop, a signal ends the process at once.
  let stop = endAtOnce;
  // While one run ends and the next begins there may be nothing else that keeps the process.
  setInterval(() => {}, 0x7fff_ffff);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop());
  for (let again = false, runs = true; runs; again = true) {
    const running = await up(options, {
      again,
      ...{ log, said: lines.text },
      print: (line) => process.stdout.write(`${line}\n`),
      environment: process.env,
    });
    const stopped = new Promise<'signal'>((resolve) => {
      stop = () => resolve('signal');
    });
    runs = (await Promise.race([stopped, running.restartAsked])) === 'restart';
    // A second signal, or a stop that hangs, ends the process at once: nothing acknowledged is lost by it.
    stop = endAtOnce;
    const stopClock = nodeClock.after(stopMsMax, stop);
    const left = await running.stop();
    stopClock();
    if (runs && left.length > 0) {
      throw new StartFailure(
        `Not started again, as this did not end in time: ${left.join(', ')}. Start it anew.`,
      );
    }
  }
};

/** Parts that hang are left before, so this is for a process that is too slow for that. */
const stopMsMax = 20_000;

/** Serves a simulated pool until a signal ends it. There is nothing to lose, so the end is at once. */
const runSim = async (args: readonly string[]): Promise<void> => {
  // A host that is real starts sooner without it.
  const { readSimOptions, simHelp } = await import('./sim-options.ts');
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  if (args.includes('--help') || args.includes('-h')) return print(simHelp());
  const options = readSimOptions(args, process.env);
  const { sim } = await import('./sim.ts');
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  const running = await Promise.race([
    sim(options, { log: xenactLog(options.logLevel), print, readFile: readText }),
    stopped,
  ]);
  if (running === undefined) return;
  await stopped;
  nodeClock.after(stopMsMax, endAtOnce);
  await running.stop();
};

const main = async (args: readonly string[]): Promise<void> => {
  const [command, ...rest] = args;
  if (command === 'up') {
    if (rest.includes('--help') || rest.includes('-h')) process.stdout.write(upHelp());
    else await runUp(rest);
  } else if (command === 'sim') {
    await runSim(rest);
  } else if (command === 'join-token') {
    await joinTokenCommand(rest, process.env, (text) => process.stdout.write(text));
  } else if (command === 'inspect') {
    await inspectCommand(rest, process.env, (text) => process.stdout.write(text));
  } else if (command === 'engine') {
    await engineCommand(rest, process.env, (text) => process.stdout.write(text));
  } else if (command === 'lead') {
    await leadCommand(rest, process.env, (text) => process.stdout.write(text));
  } else if (command === 'adopt') {
    await adoptCommand(rest, process.env, (text) => process.stdout.write(text));
  } else if (command === 'diverged') {
    await divergedCommand(rest, process.env, (text) => process.stdout.write(text));
  } else if (command === 'leaks') {
    await leaksCommand(rest, process.env, (text) => process.stdout.write(text));
  } else if (command === 'backup' || command === 'restore') {
    const { backupCommand, restoreCommand } = await import('./backup-command.ts');
    const obey = command === 'backup' ? backupCommand : restoreCommand;
    await obey(rest, process.env, (text) => process.stdout.write(text));
  } else if (command === 'xe') {
    process.exit(await xeCommand(rest, process.env));
  } else if (command === 'user') {
    await userCommand(rest, process.env, (text) => process.stdout.write(text));
  } else if (command === 'version' || command === '--version') {
    process.stdout.write(`xenact ${version}\n`);
  } else if (command === undefined || command === '--help' || command === 'help' || command === '-h') {
    process.stdout.write(help);
  } else {
    throw new UsageError(`xenact has no command "${command}".\n\n${help}`);
  }
};

/** Obeys a command line and ends the process. */
export const run = (args: readonly string[]): void => {
  main(args).then(
    () => process.exit(0),
    (error: unknown) => {
      const said = sentenceOf(error);
      console.error(said === undefined ? error : `xenact: ${said}`);
      process.exit(error instanceof UsageError ? 2 : 1);
    },
  );
};

/** What the system refuses, and what to do about it. */
const refusals: ReadonlyMap<unknown, string> = new Map([
  ['ENOSPC', 'The disk is full: make room on it'],
  ['EDQUOT', 'The quota of this user is used up: make room, or raise it'],
  ['EROFS', 'The file system takes no changes: mount it writable, or give another folder with --data'],
  ['EACCES', 'This user may not: give the folder to it, or give another with --data'],
  ['EPERM', 'This user may not: give the folder to it, or give another with --data'],
  ['EIO', 'The disk fails: see what the system logged about it'],
  ['EMFILE', 'This process has too many files open: raise the limit with ulimit -n'],
  ['ENFILE', 'The system has too many files open: end other programs'],
  ['ENOMEM', 'There is too little memory: end other programs'],
]);

/**
 * For people, where the error says enough; any other is a fault of the program and is shown with its stack.
 */
const sentenceOf = (error: unknown): string | undefined => {
  if ([UsageError, StartFailure, UnusableError].some((kind) => error instanceof kind))
    return (error as Error).message;
  const todo = refusals.get((error as { code?: unknown } | null)?.code);
  return todo === undefined ? undefined : `${todo} (${(error as Error).message}).`;
};
