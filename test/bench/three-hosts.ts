import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { Inspection } from '../../src/pool/inspection.ts';
import { daemonOf } from '../e2e/lab.ts';
import { clean } from '../e2e/xenact.ts';
import { openPool, type Pool, password } from './pool.ts';

/** One host of the pool, in a process of its own with a simulated hypervisor beside it. */
export interface Host extends Pool {
  readonly ref: string;
  readonly name: string;
  readonly daemonPid: number;
  /** Ends it and its hypervisor at once, as a power failure would. */
  kill(): Promise<void>;
}

export interface ThreeHosts {
  /** The coordinator first. Members serve clients themselves. */
  readonly hosts: readonly [Host, Host, Host];
  close(): Promise<void>;
}

const flags = ['--mesh-port', '0', '--edge-members', 'serve', '--log-level', 'error'];

export const openThreeHosts = async (): Promise<ThreeHosts> => {
  const opened: Pool[] = [];
  const close = async (): Promise<void> => {
    // Members first: what has nobody to say goodbye to takes its time.
    for (const pool of opened.reverse()) {
      await pool.close();
      await clean(pool.data);
    }
  };
  const open = async (more: readonly string[]): Promise<Host> => {
    const pool = await openPool(undefined, [...flags, ...more]);
    opened.push(pool);
    const { host } = await pool.inspect();
    return hostOf(pool, host.ref, `host ${opened.length}`);
  };
  try {
    const first = await open([]);
    const joining = ['--join', first.https.origin, '--join-password', password];
    const hosts = [first, await open(joining), await open(joining)] as const;
    await followed(hosts);
    return { hosts: [...hosts], close };
  } catch (error) {
    await close();
    throw error;
  }
};

const hostOf = (pool: Pool, ref: string, name: string): Host => {
  const daemonPid = daemonOf(pool.data);
  return {
    ...pool,
    ref,
    name,
    daemonPid,
    kill: async () => {
      for (const pid of [daemonPid, pool.pid]) process.kill(pid, 'SIGKILL');
      await once(pool.process, 'exit');
    },
  };
};

/** Resolves once every host has what the coordinator had when it was asked, and a link with each other. */
const followed = async (hosts: readonly [Host, ...Host[]]): Promise<void> => {
  const { store: goal } = await hosts[0].inspect();
  for (;;) {
    const seen = await Promise.all(hosts.map((host) => host.inspect()));
    const level = seen.every(({ store }) => store.generation >= goal.generation);
    if (level && seen.every(isLinked)) return;
    await pause(100);
  }
};

const isLinked = ({ links, role }: Inspection): boolean =>
  links.length === 2 && links.every(({ state }) => state === 'up') && role !== 'seeking';
