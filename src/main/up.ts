import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Closing, closing } from '../assembly/closing.ts';
import { type DriverRows, driverRows } from '../assembly/driver-rows.ts';
import { startGuests, startHost } from '../assembly/host.ts';
import type { Host } from '../assembly/parts.ts';
import { makeCertificate } from '../drivers/node/certificate.ts';
import { type HostStorage, hostStorage } from '../drivers/storage/host-storage.ts';
import type { SmSettings } from '../drivers/storage/sm-drivers.ts';
import { openEngineStore } from '../engine/settings.ts';
import { installPlugins } from '../plugins/install.ts';
import { serveSmapiv2 } from '../rpc/smapiv2/server.ts';
import { within } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import { openAuditFile } from './audit-file.ts';
import { type HostCertificate, hostCertificate } from './certificate.ts';
import { chooseEngine, takeUpMove } from './choose-engine.ts';
import { fileCredentials } from './credentials.ts';
import type { Door } from './doors.ts';
import { enginePath, engineRequests, forgetEngine, openEngine } from './engine.ts';
import type { Environment } from './flags.ts';
import { openFolder } from './folder.ts';
import { hostFiles } from './host-files.ts';
import { hostParts } from './host-parts.ts';
import { type HostHypervisor, hostHypervisor } from './hypervisor.ts';
import { keepInventory } from './inventory.ts';
import { leadPath, leadRequests } from './lead.ts';
import { leaksPath, leaksRequests } from './leaks.ts';
import { openDoors } from './listen.ts';
import { openLocalDoor } from './local-door.ts';
import { lockFolder } from './lock.ts';
import { machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import { defaultDataFolder, type Paths, pathsOf } from './paths.ts';
import { StartFailure } from './start-failure.ts';
import { usersPath } from './user-command.ts';
import { runningUsers, userRequests } from './users.ts';

export interface UpContext {
  /** True: a client asked this process to start again, and the machine ran on. */
  readonly again: boolean;
  readonly log: Log;
  /** The newest lines of that, for reports. */
  readonly said: () => string;
  /** One line for people, on stdout. */
  readonly print: (line: string) => void;
  readonly environment: Environment;
}

export interface RunningProgram {
  /** Resolves when a client asked for a restart of the toolstack. */
  readonly restartAsked: Promise<'restart'>;
  /**
   * Stops in order; what was acknowledged is on disk, and guests go on. Answers the names of what did not end
   * in time and is left as it is: no other start in this process may come upon that.
   */
  stop(): Promise<readonly string[]>;
}

/** Starts this host and resolves once clients can use it. On a failure nothing of it is left running. */
export const up = async (options: UpOptions, context: UpContext): Promise<RunningProgram> => {
  const opened = closing(context.log, machine.clock);
  try {
    return await start(options, context, opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
};

const start = async (options: UpOptions, context: UpContext, opened: Closing): Promise<RunningProgram> => {
  const { log, print } = context;
  const paths = pathsOf(options.data ?? defaultDataFolder(context.environment));
  await makeFolders(paths);
  const lock = await lockFolder(machine, paths);
  opened.add('lock', lock);

  // A database that has to be read through takes its time, in a process of its own.
  const folder = openFolder(machine, paths, { rebuild: options.rebuild === 'true', print });
  folder.catch(() => {});
  const credentials = await fileCredentials({
    ...machine,
    file: paths.credentials,
    rootPassword: options['root-password'],
  });
  const rows = driverRows();
  const storage = await openStorage(options, paths, { log, opened, rows });
  const { state, epochMin, seal } = await folder;
  opened.add('seal', { close: seal });
  const epoch = (): number => state.current?.epoch ?? 1;
  const { chosen, answers } = await openHypervisor(options, { paths, log, print, epoch }, opened);
  const tls = await clientCertificate(options, paths);
  const restart = restartSwitch();
  await machine.disk.makeFolder(paths.audit);
  const trail = await openAuditFile({ ...machine, log, folder: paths.audit });
  opened.add('audit', trail);
  const engineStore = await openEngineStore(machine.disk, paths.engine);
  const files = hostFiles({ machine, trail, said: context.said, paths, engineStore, credentials, tls });
  await chooseEngine(options, engineStore, state);
  await takeUpMove(engineStore, state);
  const parts = await hostParts(options, {
    ...{ paths, log, print, folder: { state, epochMin }, credentials, storage, chosen, tls, files },
    restart: restart.ask,
    engineStore,
    forgetEngine: () => forgetEngine(options, engineStore, log),
    doors: async (made) => {
      const engine = await openEngine(options, { store: engineStore, log, host: made, restart: restart.ask });
      opened.add('engine', engine);
      await answers;
      rows.serve(made);
      files.serve(made);
      const door = await openDoors(options, { machine, tls, log, trail, host: made });
      await keepInventory(machine.disk, paths.inventory, made);
      const socketPath = options['xapi-socket'] ?? paths.xapiSocket;
      opened.add(
        'local door',
        await openLocalDoor(socketPath, { machine, log, audit: door.audit, host: made }),
      );
      // Also while the pool has no coordinator, which may be why somebody asks.
      lock.serve(leadPath, leadRequests(made, door.audit));
      lock.serve(enginePath, engineRequests(engine, door.audit));
      engine.begin();
      return door;
    },
  });
  const running: RunningProgram = { restartAsked: restart.asked, stop: () => opened.close() };
  const started = startHost(parts, opened);
  // A host may have to start anew to become what it waits for: a member of a pool whose log is elsewhere.
  const early = await Promise.race([started.then(() => 'started' as const), restart.asked]);
  if (early === 'restart') return { ...running, stop: () => giveUp(started, opened, log) };
  const { host, doors } = await started;
  await keepInventory(machine.disk, paths.inventory, host);
  lock.serve(leaksPath, leaksRequests(host, doors.audit));
  lock.serve(usersPath, userRequests(runningUsers(host.services, credentials), doors.audit));
  if (await joinAtFirstStart(options, host)) {
    print(`This host has joined the pool at ${options.join} and starts again as its member`);
    return running;
  }
  if (!context.again) startGuests(host);
  welcome(print, {
    ...{ door: doors, chosen, paths },
    pool: host.store.latest.only('pool')[1].name_label,
    generated: credentials.generatedPassword,
  });
  return running;
};

/** The daemon starts while the database is read; `answers` rejects with whatever is wrong with it. */
const openHypervisor = async (
  options: UpOptions,
  { paths, log, print, epoch }: Pick<UpContext, 'log' | 'print'> & { paths: Paths; epoch: () => number },
  opened: Closing,
) => {
  const chosen = await hostHypervisor(options, { ...machine, epoch }, paths, log);
  const answers = answering(chosen);
  const answered = answers.catch(() => {});
  opened.add('hypervisor', {
    close: async () => {
      // One that is only just starting could not be told to end, and would stay.
      await answered;
      await stopHypervisor(chosen, print);
    },
  });
  return { chosen, answers };
};

const giveUpMsMax = 1_000;

/** Ends a start that is under way: the next one must not come upon what it still opens until it notices. */
const giveUp = async (start: Promise<unknown>, opened: Closing, log: Log): Promise<readonly string[]> => {
  const over = start.catch((error: unknown) =>
    log.debug({ error: String(error) }, 'A start was given up for another'),
  );
  const left = await opened.close();
  // One that never ends has nothing open, and what it opens is closed at once.
  await within(machine.clock, giveUpMsMax, over);
  return [...left, ...(await opened.close())];
};

const certificateDays = 3_650;

/** What clients of HTTPS see. */
const clientCertificate = (options: UpOptions, { certificate }: Paths): Promise<HostCertificate> =>
  hostCertificate(
    machine.disk,
    certificate,
    () => makeCertificate({ names: [options.listen ?? '127.0.0.1'], days: certificateDays }),
    'Put it back from a backup; or remove it, and a new one is made that clients have to be told of.',
  );

/**
 * Only the host that is a pool by itself joins another; at later starts it is a member. Answers whether it
 * did.
 */
const joinAtFirstStart = async (options: UpOptions, { services, store, context }: Host): Promise<boolean> => {
  const { join: address, 'join-user': user = 'root', 'join-fingerprint': fingerprint } = options;
  const password = options['join-token'] ?? options['join-password'] ?? '';
  const alone = [...store.latest.all('host')].length === 1;
  if (address === undefined || !alone || context.state.current?.role !== 'coordinator') return false;
  try {
    const known = fingerprint === undefined ? address : `${address}#${fingerprint}`;
    await services.membership?.join({ address: known, user, password, force: false });
    return true;
  } catch (error) {
    throw new StartFailure(`This host cannot join the pool at ${address}: ${(error as Error).message}`);
  }
};

const makeFolders = async (paths: Paths & { readonly run: string }): Promise<void> => {
  try {
    for (const folder of [
      paths.data,
      paths.run,
      paths.store,
      paths.xenopsdState,
      paths.isoSr,
      paths.plugins,
    ]) {
      await machine.disk.makeFolder(folder, 0o700);
    }
  } catch (error) {
    throw new StartFailure(
      `The data folder ${paths.data} cannot be used (${(error as Error).message}). Give another with --data.`,
    );
  }
};

const openStorage = async (
  options: UpOptions,
  paths: Paths & { readonly run: string },
  { log, opened, rows }: { readonly log: Log; readonly opened: Closing; readonly rows: DriverRows },
): Promise<HostStorage> => {
  const ours = join(paths.data, 'plugins-shipped');
  const programs = fileURLToPath(new URL('../plugins', import.meta.url));
  await installPlugins(machine.disk, ours, { programs, node: process.execPath, own: paths });
  const storage = await hostStorage({
    ...machine,
    roots: [ours, paths.plugins],
    sm: { settings: smSettings(options), rows },
    stateFolder: paths.storageState,
    log,
  });
  opened.add('storage', storage);
  const endpoint = { socketPath: paths.storageSocket };
  opened.add('storage of the hypervisor', await serveSmapiv2({ ...machine, endpoint, storage, log }));
  return storage;
};

const smSettings = ({ 'sm-dir': folder, 'sm-plugins': names = 'all' }: UpOptions): SmSettings => ({
  ...(folder !== undefined && { folder: resolve(folder) }),
  wanted: names === 'all' ? names : new Set(names.toLowerCase().split(/[,\s]+/)),
});

/** Starts our daemon unless it runs. One that is somebody else's must be there already. */
const answering = async ({ hypervisor, daemon, chosen }: HostHypervisor): Promise<void> => {
  if (daemon !== undefined) return daemon.ensure();
  await hypervisor.list().catch((error: unknown) => {
    throw new StartFailure(
      `There is no xenopsd (${chosen}): ${(error as Error).message}. Start it, or choose with --hypervisor.`,
    );
  });
};

/** Our daemon is ended with the last guest; while guests run it stays, and the next start finds it. */
const stopHypervisor = async (
  { hypervisor, daemon }: HostHypervisor,
  print: UpContext['print'],
): Promise<void> => {
  const guests = await hypervisor.list().catch(() => undefined);
  const live = guests?.filter(({ state }) => state.domids.length > 0).length;
  await hypervisor.close();
  if (daemon !== undefined && live === 0) await daemon.stop();
  if (live !== undefined && live > 0) print(`Guests that go on: ${live}. The next start finds them.`);
};

const restartSwitch = (): { readonly asked: Promise<'restart'>; readonly ask: () => void } => {
  let ask = (): void => {};
  const asked = new Promise<'restart'>((resolve) => {
    ask = () => resolve('restart');
  });
  return { asked, ask };
};

const welcome = (
  print: UpContext['print'],
  about: {
    readonly door: Door;
    readonly chosen: HostHypervisor;
    readonly paths: Paths;
    readonly pool: string;
    readonly generated: string | undefined;
  },
): void => {
  const { door, chosen, paths, pool, generated } = about;
  print(chosen.chosen);
  print(`data in ${paths.data}; put CD images (*.iso) into ${paths.isoSr}, then scan "CD images"`);
  if (generated !== undefined) print(`password of root: ${generated}   (shown only now)`);
  print(`xenact ready: ${door.http} ${door.https} pool ${pool}`);
  print('Try next, in another terminal (both ask for the password of root):');
  print(`  npx xen-api ${door.http} root`);
  print(
    '  python3 -c "import xmlrpc.client as x, getpass as g; ' +
      `print(x.ServerProxy('${door.http}').session.login_with_password('root', g.getpass()))"`,
  );
  print('README.md has a first session that boots a guest. Ctrl-C stops xenact; guests go on.');
};
