import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeNetwork } from '../../src/drivers/node/network.ts';
import { pathsOf } from '../../src/main/paths.ts';
import { xenopsdHypervisor } from '../../src/rpc/xenops/xenopsd.ts';
import { silentLog } from '../../src/std/log.ts';
import type { Value } from '../../src/std/value.ts';
import { freePorts } from '../free-ports.ts';
import { call, Failure, logIn, type Session } from './client.ts';
import { rowsOf, text } from './lab.ts';
import { clean, newDataFolder, password, program, start, type Xenact } from './xenact.ts';

// Pools of real processes: each host has an address of its own on loopback, a data folder and a daemon, and all
// have the same ports, as hosts of a real pool have.

export interface PoolHost {
  readonly address: string;
  readonly data: string;
  readonly http: string;
  readonly https: string;
  /** Its process; a host that is down has the one of before. */
  xenact: Xenact;
  /** Starts its process, with these flags beside its own. Resolves once it serves clients. */
  up(...flags: readonly string[]): Promise<void>;
  /** Ends its process; its guests go on. */
  down(signal: NodeJS.Signals): Promise<void>;
  /** What a command of the program prints that looks after this host. */
  command(
    name: string,
    ...flags: readonly string[]
  ): { readonly status: number | null; readonly text: string };
  /** UUIDs of the guests that its daemon runs, whatever anybody believes. */
  guests(): Promise<readonly string[]>;
}

export interface Lab {
  readonly hosts: readonly PoolHost[];
  host(index: number): PoolHost;
  /** A new host, not started. */
  add(...flags: readonly string[]): Promise<PoolHost>;
  /** Ends all processes, daemons included, and removes their folders. */
  close(): Promise<void>;
}

/** Waits and polls last at most this long where nothing is known to take longer. */
export const patience = { timeout: 40_000, interval: 100 } as const;

/** Where hosts are, by their number from 0. */
export interface Layout {
  readonly addressOf: (index: number) => string;
  /** A command that runs a program there. */
  readonly via: (index: number) => readonly string[];
}

const loopback: Layout = { addressOf: (index) => `127.0.0.${index + 1}`, via: () => [] };

export const lab = async (layout = loopback): Promise<Lab> => {
  const [http = 0, https = 0, mesh = 0] = await freePorts(3);
  const hosts: PoolHost[] = [];
  const add = async (...flags: readonly string[]): Promise<PoolHost> => {
    const data = await newDataFolder();
    const [address, via] = [layout.addressOf(hosts.length), layout.via(hosts.length)];
    const own = ['--hypervisor', 'sim', '--listen', address, ...flags];
    const ports = ['--http-port', `${http}`, '--https-port', `${https}`, '--mesh-port', `${mesh}`];
    const host = hostOf({ data, address, via, flags: [...own, ...ports] }, { http, https });
    hosts.push(host);
    return host;
  };
  return {
    hosts,
    host: (index) => {
      const host = hosts[index];
      if (host === undefined) throw new Error(`There is no host ${index}`);
      return host;
    },
    add,
    close: async () => {
      await Promise.all(hosts.map((one) => one.down('SIGKILL')));
      await Promise.all(hosts.map((one) => clean(one.data)));
    },
  };
};

interface Place {
  readonly data: string;
  readonly address: string;
  readonly via: readonly string[];
  readonly flags: readonly string[];
}

const hostOf = (
  { data, address, via, flags }: Place,
  ports: { readonly http: number; readonly https: number },
): PoolHost => {
  let xenact: Xenact | undefined;
  return {
    address,
    data,
    http: `http://${address}:${ports.http}`,
    https: `https://${address}:${ports.https}`,
    get xenact() {
      if (xenact === undefined) throw new Error(`The host ${address} was never started`);
      return xenact;
    },
    up: async (...more) => {
      xenact = await start(data, [...flags, ...more], via);
    },
    down: async (signal) => {
      await xenact?.end(signal);
    },
    command: (name, ...more) => {
      const ran = spawnSync(process.execPath, [program, name, '--data', data, ...more], { encoding: 'utf8' });
      return { status: ran.status, text: `${ran.stdout}${ran.stderr}` };
    },
    guests: () => guestsOf(data),
  };
};

/** A pool of `count` hosts; the first leads. */
export const poolOf = async (
  count: number,
  flags: readonly string[] = [],
  layout = loopback,
): Promise<Lab> => {
  const made = await lab(layout);
  try {
    const first = await made.add(...flags);
    await first.up();
    const others = await Promise.all(Array.from({ length: count - 1 }, () => made.add(...flags)));
    await Promise.all(
      others.map(async (one) => one.up('--join', first.https, '--join-token', await tokenOf(first))),
    );
    return made;
  } catch (error) {
    await made.close();
    throw error;
  }
};

/** What vouches for the coordinator, and for whoever joins with it, on any address. */
export const tokenOf = async ({ http }: PoolHost): Promise<string> => {
  const authorization = `Basic ${Buffer.from(`root:${password}`).toString('base64')}`;
  const answer = await fetch(`${http}/pool/join-token`, { method: 'POST', headers: { authorization } });
  return (await answer.text()).trim();
};

/** A pool of three, a session with its coordinator, and the references of its hosts in their order. */
export const poolOfThree = async (): Promise<{
  readonly pool: Lab;
  readonly session: Session;
  readonly refs: readonly string[];
}> => {
  const pool = await poolOf(3);
  const session = await logIn(pool.host(0).http);
  return { pool, session, refs: await hostRefs(session, pool.hosts) };
};

const guestsOf = async (data: string): Promise<readonly string[]> => {
  const hypervisor = xenopsdHypervisor({
    network: nodeNetwork,
    clock: nodeClock,
    log: silentLog,
    endpoint: { socketPath: pathsOf(join(data)).xenopsdSocket },
  });
  try {
    const listed = await hypervisor.list();
    return listed.filter(({ state }) => state.domids.length > 0).map(({ id }) => id);
  } finally {
    await hypervisor.close();
  }
};

/** The host that leads now, by asking for it at all that answer. */
export const leaderOf = async (hosts: readonly PoolHost[]): Promise<PoolHost> => {
  // A host that died is missed after seconds, and the one that follows reads the log first, on a machine with much to do.
  const untilMs = Date.now() + 2 * patience.timeout;
  for (;;) {
    const said: string[] = [];
    for (const host of hosts) {
      const code = await codeOf(logIn(host.http));
      if (code === 'done') return host;
      said.push(`${host.address}: ${code}`);
    }
    if (Date.now() > untilMs) throw new Error(`No host leads: ${said.join('; ')}`);
    await pause();
  }
};

export const leaderSession = async (hosts: readonly PoolHost[]): Promise<Session> =>
  logIn((await leaderOf(hosts)).http);

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, patience.interval));

/** What a call fails with; `done` when it does not. */
export const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'done',
    (error: unknown) => (error instanceof Failure ? error.code : `no answer: ${(error as Error).message}`),
  );

/** A call that is repeated while nobody can answer it: hosts come and go, and it must not matter twice. */
export const eventually = async <T>(attempt: () => Promise<T>): Promise<T> => {
  const untilMs = Date.now() + patience.timeout;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > untilMs) throw error;
      await pause();
    }
  }
};

/** References of the pool's hosts, in the order of `hosts`. */
export const hostRefs = async (session: Session, hosts: readonly PoolHost[]): Promise<readonly string[]> => {
  const rows = await rowsOf(session, 'host');
  return hosts.map(({ address }) => {
    for (const [ref, row] of rows) if (text(row, 'address') === address) return ref;
    throw new Error(`No host has the address ${address}`);
  });
};

/** A session on one host alone, which needs no coordinator. */
export const logInHere = async (host: PoolHost): Promise<Session> => {
  const login = 'session.slave_local_login_with_password';
  const ref = (await call(host.http, login, ['root', password])) as string;
  return { ref, call: (method, ...params: readonly Value[]) => call(host.http, method, [ref, ...params]) };
};

/** Guests that more than one daemon runs. */
export const runTwice = async (hosts: readonly PoolHost[]): Promise<readonly string[]> => {
  const running = (await Promise.all(hosts.map((host) => host.guests().catch(() => [])))).flat();
  return running.filter((uuid, index) => running.indexOf(uuid) !== index);
};
