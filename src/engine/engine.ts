import { credentialsFor, form, grow, type InitOrder, type Ports, shrink } from './changes.ts';
import type { EngineContext } from './context.ts';
import { takePart, useEngine } from './moving.ts';
import { hostsWith } from './orders.ts';
import { refusal } from './refusal.ts';
import { leaveLost } from './restoring.ts';
import type { LogEngine } from './settings.ts';
import { type EngineStatus, statusOf } from './status.ts';
import { tend } from './tending.ts';

/** Looks after a cluster of etcd on the hosts of the pool: this host's part, and as coordinator the whole. */
export interface Engine {
  /** From now on this host takes part, which may mean that it starts again. Members run before. */
  begin(): void;
  /** Makes the cluster. Throws OPERATION_NOT_ALLOWED, here and below, with what to do. */
  init(order: InitOrder): Promise<void>;
  /** One more member, by the name, address or reference of its host. */
  join(host: string, ports: Ports): Promise<void>;
  /** One member less; also one whose host is gone. */
  leave(host: string): Promise<void>;
  /**
   * Moves the pool's log to the other engine. Resolves once it is under way: this host starts again for it.
   */
  use(engine: LogEngine): Promise<void>;
  /**
   * Leaves a cluster that is lost for good, on this host alone. `force`: an operator insists. This host
   * starts again for it.
   */
  restore(force: boolean): Promise<void>;
  status(): Promise<EngineStatus>;
  /** Ends what this program does about the cluster. The member on this host goes on. */
  close(): Promise<void>;
}

export const engineOf = (context: EngineContext): Engine => {
  const { process, store } = context;
  const ends = new AbortController();
  const hosts = hostsWith(context, (asked, who) => credentialsFor(context, asked, who), ends.signal);
  let busy: string | undefined;
  if (store.current.member !== undefined) process.tend();
  let tending: Promise<unknown> = Promise.resolve();
  let round: Promise<void> = Promise.resolve();

  /** Members change one at a time, and not beside a round that still goes by what it saw before. */
  const alone = async (what: string, change: () => Promise<void>): Promise<void> => {
    context.pool.assertLeads();
    if (busy !== undefined)
      throw refusal(`Members change one at a time, and ${busy} is under way: wait for its end`);
    busy = what;
    try {
      await round;
      await change();
    } finally {
      busy = undefined;
    }
  };
  /** Runs what does not fail, unless members are changing. */
  const between = async (work: () => Promise<void>): Promise<void> => {
    if (busy !== undefined) return;
    round = work();
    await round;
  };
  return {
    begin: () => {
      tending = Promise.all([
        tend(context, hosts, between, ends.signal),
        takePart(context, hosts, ends.signal),
      ]);
    },
    init: (order) => alone('init', () => form(context, hosts, order)),
    join: (host, ports) => alone(`join ${host}`, () => grow(context, hosts, host, ports)),
    leave: (host) => alone(`leave ${host}`, () => shrink(context, hosts, host)),
    use: (engine) => alone(`use ${engine}`, () => useEngine(context, hosts, engine)),
    restore: (force) => leaveLost(context, force),
    status: () => statusOf(context, hosts),
    close: async () => {
      ends.abort(new Error('The host stops'));
      await Promise.all([tending, process.close()]);
    },
  };
};
