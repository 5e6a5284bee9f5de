import { randomBytes, timingSafeEqual } from 'node:crypto';
import { closing } from '../assembly/closing.ts';
import { housekeeping } from '../assembly/housekeeping.ts';
import { makeCertificate } from '../drivers/node/certificate.ts';
import { edgeOf } from '../edge/edge.ts';
import { inspectRoute } from '../edge/inspect.ts';
import type { Credentials } from '../objects/credentials.ts';
import type { NbdServer } from '../objects/services.ts';
import { controlRoutes } from '../simulation/sandbox/control.ts';
import { type Sandbox, sandboxOf } from '../simulation/sandbox/sandbox.ts';
import { readTrouble, TroubleUnusable } from '../simulation/sandbox/trouble-file.ts';
import { Fault } from '../std/fault.ts';
import type { Log } from '../std/log.ts';
import { type Door, doorsTo } from './doors.ts';
import { UsageError } from './flags.ts';
import { machine } from './machine.ts';
import type { SimCommandOptions } from './sim-options.ts';
import { version } from './version.ts';

export interface SimContext {
  readonly log: Log;
  /** One line for people, on stdout. */
  readonly print: (line: string) => void;
  readonly readFile: (path: string) => Promise<string>;
}

const generatedBytes = 15;
const certificateDays = 30;
const poolName = 'simulated';

/** Serves a simulated pool; resolves once clients can use it. */
export const sim = async (
  options: SimCommandOptions,
  { log, print, readFile }: SimContext,
): Promise<{ stop(): Promise<void> }> => {
  const opened = closing(log, machine.clock);
  try {
    const password = options.rootPassword ?? randomBytes(generatedBytes).toString('base64url');
    const credentials = memoryCredentials(password);
    let httpsPort = 0;
    let nbd: NbdServer | undefined;
    const pool = await sandboxOf({
      ...options,
      ...{ clock: machine.clock, log, credentials, version, name: poolName },
      address: options.listen === '0.0.0.0' || options.listen === '::' ? '127.0.0.1' : options.listen,
      authority: () =>
        `${options.listen.includes(':') ? `[${options.listen}]` : options.listen}:${httpsPort}`,
      nbd: () => nbd,
    });
    opened.add('pool', pool);
    const outages = await troubleOf(options.faults, pool, readFile);
    const door = await openDoor(options, pool, log);
    opened.add('door', door);
    ({ httpsPort, nbd } = door);
    const { services, invoker } = pool.coordinator;
    const measured = () =>
      pool.hosts.filter(({ name }) => pool.isUp(name)).map(({ ref }) => pool.runningAt(ref));
    opened.add(
      'housekeeping',
      housekeeping({ ...pool, services, invoker, clock: machine.clock, leads: () => true, measured }),
    );
    door.open();
    pool.plan(outages);
    const { hosts, vms, srs } = options.size;
    print(`${hosts} simulated hosts, ${vms} VMs and ${srs} shared repositories of seed ${options.seed}`);
    if (options.rootPassword === undefined) print(`password of root: ${password}`);
    print(`xenact ready: ${door.http} ${door.https} pool ${poolName}`);
    print(`Trouble on demand: curl -u root -X POST ${door.http}/sim/hosts/${pool.known.hosts.at(-1)}/down`);
  } catch (error) {
    await opened.close();
    throw error;
  }
  return { stop: async () => void (await opened.close()) };
};

const openDoor = async (options: SimCommandOptions, pool: Sandbox, log: Log): Promise<Door> => {
  const { services, invoker } = pool.coordinator;
  const edge = edgeOf({
    ...{ catalog: pool.catalog, store: pool.store, services, invoker, log },
    // There is one process for all, and one that clients can reach.
    others: {
      authorityOf: () => undefined,
      send: (host, invocation) => pool.runningAt(host).invoker.stream(invocation),
    },
    routes: [...controlRoutes(pool), inspectRoute(pool.inspector)],
  });
  const tls = await makeCertificate({ names: [options.listen], days: certificateDays });
  return doorsTo(edge, options, { machine, tls });
};

/** Puts the rules of a file in force and answers its outages. */
const troubleOf = async (file: string | undefined, pool: Sandbox, readFile: SimContext['readFile']) => {
  if (file === undefined) return [];
  const text = await readFile(file).catch((error: Error) => {
    throw new UsageError(`The file ${file} cannot be read: ${error.message}`);
  });
  try {
    const { rules, hosts } = readTrouble(text, pool.known);
    pool.troubles.replace(rules);
    return hosts;
  } catch (error) {
    if (!(error instanceof TroubleUnusable)) throw error;
    throw new UsageError(`The file ${file} cannot be obeyed: ${error.message}`);
  }
};

export const usersMax = 1_000;

/** Passwords of a pool that keeps nothing and protects nothing. */
const memoryCredentials = (rootPassword: string): Credentials => {
  const passwords = new Map([['root', Buffer.from(rootPassword)]]);
  return {
    verify: async (user, password) => {
      const [known, given] = [passwords.get(user), Buffer.from(password)];
      return known !== undefined && known.length === given.length && timingSafeEqual(known, given);
    },
    setPassword: async (user, password) => {
      if (passwords.size >= usersMax && !passwords.has(user)) {
        throw new Fault('CHANGE_PASSWORD_REJECTED', [`No more than ${usersMax} users`]);
      }
      passwords.set(user, Buffer.from(password));
    },
  };
};
