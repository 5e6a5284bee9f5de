// Goal: a pool's log moves from one engine to the other, whoever is killed at whichever step, and never to two at once.
// Method: the engines of three hosts in this process with a real cluster of etcd; a host is killed after a given number of
// writes of its settings, and starts again.
import { describe, expect, test, vi } from 'vitest';
import { noEtcd } from '../etcd-cluster.ts';
import { etcdPool, type TestHost, type TestPool } from './etcd-pool.ts';

const patience = { timeout: 30_000, interval: 50 } as const;
const engines = ({ hosts }: TestPool): readonly (string | undefined)[] =>
  hosts.map(({ context }) => context.store.current.use ?? 'primary');
const arrived = (pool: TestPool, to: string) =>
  vi.waitFor(() => {
    expect(engines(pool)).toEqual([to, to, to]);
    for (const { context } of pool.hosts) expect(context.store.current.move).toBeUndefined();
  }, patience);
const said = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'done',
    ({ message }: Error) => message,
  );
const made = async (): Promise<TestPool> => {
  const pool = await etcdPool(3);
  await pool.coordinator.engine.init({ members: 'auto', ...pool.ports });
  return pool;
};

describe.skipIf(noEtcd)(`a move of the log${noEtcd ? ` (skipped: ${noEtcd})` : ''}`, () => {
  test('goes to etcd and back, and is refused where it makes no sense', { timeout: 90_000 }, async () => {
    const pool = await made();
    const { coordinator } = pool;
    const third = pool.hosts[2] as TestHost;
    expect(await said(coordinator.engine.use('primary'))).toContain('kept by the engine primary already');
    pool.away.add(third.ref);
    expect(await said(coordinator.engine.use('etcd'))).toMatch(/All hosts must be there.*host-3/);
    pool.away.delete(third.ref);
    expect(await said(third.engine.use('etcd'))).toContain('HOST_IS_SLAVE');
    await coordinator.engine.use('etcd');
    await arrived(pool, 'etcd');
    pool.clusterLog.ended = false;
    await coordinator.engine.use('primary');
    await arrived(pool, 'primary');
    expect(pool.clusterLog.ended).toBe(true);
  });

  test('goes on from what was written, wherever the coordinator is killed', {
    timeout: 120_000,
  }, async () => {
    const pool = await made();
    const { coordinator } = pool;
    for (const to of ['etcd', 'primary', 'etcd', 'primary', 'etcd', 'primary', 'etcd', 'primary'] as const) {
      const saves = killings.shift() ?? 0;
      pool.clusterLog.ended = to === 'etcd';
      coordinator.dieAfter(saves);
      const outcome = await said(coordinator.engine.use(to));
      await coordinator.stop();
      await coordinator.start();
      const { move } = coordinator.context.store.current;
      // Nothing that is begun was written, so the operator says it again.
      if (
        move === undefined ||
        move.step === 'prepared' ||
        (move.step === 'ended' && !pool.clusterLog.ended)
      ) {
        expect(outcome).toContain('killed');
        await coordinator.engine.use(to);
      }
      await arrived(pool, to);
    }
  });

  test('is taken over by a host that was killed or away meanwhile', { timeout: 90_000 }, async () => {
    const pool = await made();
    const { coordinator } = pool;
    const [, second, third] = pool.hosts as [TestHost, TestHost, TestHost];
    third.dieAfter(1);
    await coordinator.engine.use('etcd');
    await vi.waitFor(() => expect(engines(pool)).toEqual(['etcd', 'etcd', 'primary']), patience);
    pool.away.add(second.ref);
    expect(coordinator.context.store.current.move?.step).toBe('switched');
    const { advice } = await coordinator.engine.status();
    expect(advice[0]).toContain('once every host has been up');
    await third.stop();
    await third.start();
    pool.away.delete(second.ref);
    await arrived(pool, 'etcd');
  });

  test('is taken back while it is only prepared', { timeout: 60_000 }, async () => {
    const pool = await made();
    const { coordinator } = pool;
    coordinator.dieAfter(1);
    expect(await said(coordinator.engine.use('etcd'))).toContain('killed');
    await coordinator.stop();
    await coordinator.start();
    expect((await coordinator.engine.status()).advice[0]).toContain('was prepared and not begun');
    await coordinator.engine.use('primary');
    await arrived(pool, 'primary');
  });
});

/** Writes after which the coordinator is killed, for each of the moves. */
const killings = [0, 0, 1, 1, 2, 2, 3, 3];
