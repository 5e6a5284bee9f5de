import { nodeClock } from '../../src/drivers/node/clock.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Sandbox, sandboxOf } from '../../src/simulation/sandbox/sandbox.ts';
import { silentLog } from '../../src/std/log.ts';
import { inParallel, secondsOf } from './figures.ts';
import { sized } from './sizes.ts';

const hostCount = sized(64, 4);
const vmCount = sized(5_000, 40);
const atOnce = sized(200, 8);
/** Repositories that all hosts share. */
const srCount = sized(8, 2);

/** A whole pool in this process: every VM started, half of them migrated, one host lost and declared dead. */
export const poolSim = async (print: (line: string) => void): Promise<void> => {
  const began = performance.now();
  const pool = await opened();
  try {
    const made = (performance.now() - began) / 1000;
    print(
      `\npool-sim: ${hostCount} simulated hosts and ${vmCount} VMs in one process, calls ${atOnce} at a time`,
    );
    print(`  ${'made'.padEnd(30)}  ${figures(made, 0)}`);
    const vms = guestsOf(pool);
    await measured(pool, print, 'every VM started', vmCount, () =>
      inParallel(vmCount, atOnce, (i) =>
        call(pool, 'VM.start', vms[i], { start_paused: false, force: false }),
      ),
    );
    const moving = vms.filter((vm) => isOnShared(pool, vm)).slice(0, vmCount / 2);
    await measured(pool, print, 'half of them migrated', moving.length, () =>
      inParallel(moving.length, atOnce, (i) => migrate(pool, moving[i] as Ref<'VM'>)),
    );
    await loseHost(pool, print);
  } finally {
    await pool.close();
  }
};

const opened = (): Promise<Sandbox> =>
  sandboxOf({
    ...{
      size: { hosts: hostCount, vms: vmCount, srs: srCount },
      seed: 'bench',
      name: 'bench',
      latencyMs: [0, 0],
    },
    ...{ clock: nodeClock, log: silentLog, address: '127.0.0.1', authority: () => '127.0.0.1', version: '0' },
    credentials: { verify: async () => false, setPassword: async () => {} },
    silentMs: 1,
  });

const call = (pool: Sandbox, method: string, self: unknown, args: object): Promise<unknown> =>
  pool.coordinator.invoker.call(method as never, self as never, args as never);

const guestsOf = ({ store }: Sandbox): readonly Ref<'VM'>[] =>
  [...store.latest.all('VM')]
    .filter(([, vm]) => !vm.is_a_template && !vm.is_control_domain)
    .map(([ref]) => ref);

const isOnShared = ({ store: { latest } }: Sandbox, vm: Ref<'VM'>): boolean =>
  latest
    .require('VM', vm)
    .VBDs.flatMap((vbd) => latest.get('VDI', latest.require('VBD', vbd).VDI) ?? [])
    .every(({ SR }) => latest.require('SR', SR).shared);

/** To the next host in the list, so that every host gives and takes. */
const migrate = (pool: Sandbox, vm: Ref<'VM'>): Promise<unknown> => {
  const at = pool.hosts.findIndex(({ ref }) => ref === pool.store.latest.require('VM', vm).resident_on);
  const host = pool.hosts[(at + 1) % pool.hosts.length]?.ref;
  return call(pool, 'VM.pool_migrate', vm, { host, options: new Map([['live', 'true']]) });
};

/** How long it takes until all VMs of a host that lost its power can be started elsewhere, and then that. */
const loseHost = async (pool: Sandbox, print: (line: string) => void): Promise<void> => {
  const [lost] = pool.hosts.slice(-1) as [Sandbox['hosts'][number]];
  const on = (vm: Ref<'VM'>): boolean => pool.store.latest.require('VM', vm).resident_on === lost.ref;
  const guests = guestsOf(pool).filter(on);
  await measured(pool, print, `one host with ${guests.length} VMs lost`, 1, async () => {
    pool.down(lost.name);
    await isNoted(pool, lost.ref);
    await call(pool, 'host.declare_dead', lost.ref, {});
  });
  const left = guests.filter((vm) => isOnShared(pool, vm));
  await measured(pool, print, 'its VMs started elsewhere', left.length, () =>
    inParallel(left.length, atOnce, (i) =>
      call(pool, 'VM.start', left[i], { start_paused: false, force: false }),
    ),
  );
  const running = guestsOf(pool).filter(
    (vm) => pool.store.latest.require('VM', vm).power_state === 'Running',
  );
  const wanted = vmCount - (guests.length - left.length);
  if (running.length !== wanted) throw new Error(`${running.length} VMs run, not ${wanted}`);
};

const isNoted = ({ store }: Sandbox, host: Ref<'host'>): Promise<void> =>
  new Promise((resolve) => {
    const stop = store.watch(() => {
      const { metrics } = store.committed.require('host', host);
      if (store.committed.get('host_metrics', metrics)?.live !== false) return;
      stop();
      resolve();
    });
  });

const measured = async (
  pool: Sandbox,
  print: (line: string) => void,
  what: string,
  count: number,
  run: () => Promise<unknown>,
): Promise<void> => {
  const before = pool.carried;
  const seconds = await secondsOf(async () => void (await run()));
  const rate = count > 1 ? `, ${Math.round(count / seconds)}/s` : '';
  print(`  ${what.padEnd(30)}  ${figures(seconds, pool.carried - before)}${rate}`);
};

const figures = (seconds: number, messages: number): string => {
  const residentMb = Math.round(process.memoryUsage.rss() / 1e6);
  return `${seconds.toFixed(1).padStart(6)} s, ${String(residentMb).padStart(5)} MB, ${String(messages).padStart(6)} messages between hosts`;
};
