// Goal: what a coordinator orders of a host about its cluster happens one after the other, and loses nothing.
// Method: the engines of two hosts in this process, orders that come at once, and the files that they leave.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { etcdPool, type TestHost } from './etcd-pool.ts';

const member = {
  ...{ name: 'host-2', address: '127.0.0.2', clientPort: 1, peerPort: 2 },
  ...{ token: 'of tests', initial: [], joins: 'existing' as const, started: true },
};
const cluster = { pool: 'pool-of-tests', endpoints: ['127.0.0.1:1'], whole: true };

const hostWithMember = async () => {
  const pool = await etcdPool(2);
  const [coordinator, second] = pool.hosts as [TestHost, TestHost];
  const { disk, store } = second.context;
  const folder = join(store.files.data, 'member', 'wal');
  await disk.makeFolder(join(store.files.data, 'member'), 0o700);
  await disk.makeFolder(folder, 0o700);
  for (let file = 0; file < 20; file += 1)
    await disk.replaceText(join(folder, `${file}`), 'of the log', 0o600);
  await store.change((now) => ({ ...now, cluster, member }));
  const order = (name: string, payload: unknown = {}): Promise<unknown> =>
    coordinator.context.mesh.call(second.ref, name, payload, { timeoutMs: 10_000 });
  return { order, disk, store };
};

test('a member that is dismissed twice at once is gone, and both orders are carried out', async () => {
  const { order, disk, store } = await hostWithMember();
  await Promise.all([order('engineDismiss'), order('engineDismiss')]);
  expect(await disk.exists(store.files.data)).toBe(false);
  expect(store.current).toEqual({});
});

test('an order that comes while another one is carried out finds what that one left', async () => {
  const { order, store } = await hostWithMember();
  const gone = order('engineDismiss');
  const known = order('engineKnow', { endpoints: ['127.0.0.3:1'] });
  await gone;
  await expect(known).rejects.toThrow('no certificate for the cluster yet');
  expect(store.current).toEqual({});
});

test('changes that are made at once are all kept', async () => {
  const { store } = await hostWithMember();
  await Promise.all([
    store.change((now) => ({ ...now, use: 'etcd' })),
    store.change((now) => ({ ...now, cluster: { ...cluster, id: 'abc' } })),
    store.change((now) => ({
      ...now,
      move: { to: 'primary', by: 'OpaqueRef:x' as never, step: 'prepared' },
    })),
  ]);
  expect(store.current).toMatchObject({
    use: 'etcd',
    cluster: { id: 'abc' },
    move: { to: 'primary' },
    member,
  });
});
