// Goal: the client does what the port says, with real members, with members that fail, and with none.
// Method: etcd processes on loopback; what they say is compared with what was done.
import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  compareResult,
  compareTarget,
  type Etcd,
  type EtcdFailure,
  OutcomeUnknown,
  type WatchEvent,
} from '../../../../src/drivers/etcd.ts';
import { connectEtcd } from '../../../../src/drivers/node/etcd/etcd.ts';
import { type EtcdMember, leaderOf, noEtcd, startEtcd } from '../../../etcd-cluster.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (given: Uint8Array): string => Buffer.from(given).toString();
const all = { key: bytes('/t/'), rangeEnd: bytes('/t0') };

const connect = (members: readonly EtcdMember[], timeoutMs = 2_000): Etcd => {
  const etcd = connectEtcd({ endpoints: members.map(({ endpoint }) => endpoint), timeoutMs });
  onTestFinished(() => etcd.close());
  return etcd;
};

const put = (etcd: Etcd, key: string, value: string, lease = 0n) =>
  etcd.txn({ compare: [], success: [{ put: { key: bytes(key), value: bytes(value), lease } }], failure: [] });

const failure = (promise: Promise<unknown>): Promise<EtcdFailure> =>
  promise.then(
    () => {
      throw new Error('It did not fail');
    },
    (error) => error as EtcdFailure,
  );

/** The revisions of a watch, as they come. */
const watched = (etcd: Etcd, fromRevision: number) => {
  const seen: { revision: number; events: readonly WatchEvent[] }[] = [];
  const waiting = new Set<() => void>();
  let failed: EtcdFailure | undefined;
  const wake = () => {
    for (const one of waiting) one();
  };
  let taken = false;
  const watching = etcd.watch(
    { ...all, fromRevision },
    {
      created: () => {
        taken = true;
        wake();
      },
      revision: (events, revision) => {
        seen.push({ revision, events });
        wake();
      },
      failed: (error) => {
        failed = error;
        wake();
      },
    },
  );
  onTestFinished(() => watching.close());
  const until = (enough: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!enough()) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  return {
    seen,
    created: () => until(() => taken),
    count: (count: number) => until(() => seen.length >= count),
    failure: () => until(() => failed !== undefined).then(() => failed as EtcdFailure),
  };
};

describe('without members', () => {
  test('a call says that nothing was done, and by whom', async () => {
    const etcd = connectEtcd({ endpoints: ['127.0.0.1:1', '127.0.0.1:2'], timeoutMs: 500 });
    onTestFinished(() => etcd.close());
    const read = await failure(etcd.range({ key: bytes('a') }));
    expect(read.reason).toBe('unavailable');
    const written = await failure(put(etcd, 'a', 'b'));
    expect(written).not.toBeInstanceOf(OutcomeUnknown);
    expect(written.reason).toBe('unavailable');
    expect(written.message).toMatch(/127\.0\.0\.1:[12]/);
  });

  test('somebody who takes connections and says nothing is not waited for beyond the time', async () => {
    const mute = createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => mute.once('listening', resolve));
    onTestFinished(() => void mute.close());
    const { port } = mute.address() as { port: number };
    const etcd = connectEtcd({ endpoints: [`127.0.0.1:${port}`], timeoutMs: 300 });
    onTestFinished(() => etcd.close());
    expect((await failure(etcd.range({ key: bytes('a') }))).reason).toBe('unavailable');
  });
});

describe.skipIf(noEtcd !== undefined)(
  `with three members${noEtcd === undefined ? '' : `: ${noEtcd}`}`,
  () => {
    test('keys are written, compared, read at one revision and deleted', async () => {
      const etcd = connect(await startEtcd(3));
      const first = await put(etcd, '/t/a', '1');
      expect(first.succeeded).toBe(true);
      await put(etcd, '/t/b', '2');
      const guarded = (createRevision: number) =>
        etcd.txn({
          compare: [
            { key: bytes('/t/a'), result: compareResult.equal, target: compareTarget.create, createRevision },
          ],
          success: [
            { deleteRange: { key: bytes('/t/b') } },
            { put: { key: bytes('/t/a'), value: bytes('3') } },
          ],
          failure: [{ range: { key: bytes('/t/a') } }],
        });
      const refused = await guarded(first.header.revision + 1);
      expect(refused.succeeded).toBe(false);
      expect(refused.answers).toMatchObject([
        { range: { kvs: [{ createRevision: first.header.revision }] } },
      ]);
      const done = await guarded(first.header.revision);
      expect(done.succeeded).toBe(true);
      expect(done.answers).toEqual([{ deleteRange: { deleted: 1 } }, { put: {} }]);

      const now = await etcd.range(all);
      expect(now.kvs.map(({ key, value, version }) => [text(key), text(value), version])).toEqual([
        ['/t/a', '3', 2],
      ]);
      const before = await etcd.range({ ...all, revision: done.header.revision - 1, limit: 1 });
      expect(before.more).toBe(true);
      expect(before.kvs.map(({ value }) => text(value))).toEqual(['1']);
      expect((await etcd.range({ ...all, countOnly: true })).count).toBe(1);

      await etcd.compact(done.header.revision);
      expect((await failure(etcd.range({ ...all, revision: done.header.revision - 1 }))).reason).toBe(
        'compacted',
      );
      expect((await failure(etcd.range({ ...all, revision: done.header.revision + 9 }))).reason).toBe(
        'future',
      );
    });

    test('what is too large is refused by a name of its own, and nothing of it is done', async () => {
      const etcd = connect(await startEtcd(1));
      const success = Array.from({ length: 129 }, (_, index) => ({
        put: { key: bytes(`/t/${index}`), value: bytes('v') },
      }));
      expect((await failure(etcd.txn({ compare: [], success, failure: [] }))).reason).toBe('too-large');
      expect((await failure(put(etcd, '/t/large', 'x'.repeat(3_000_000)))).reason).toBe('too-large');
      expect((await etcd.range(all)).kvs).toEqual([]);
    });

    test('a watch tells whole revisions in order from where it was asked to, and where there is no more', async () => {
      const etcd = connect(await startEtcd(3));
      const { header } = await put(etcd, '/t/a', '1');
      const watch = watched(etcd, header.revision);
      await watch.count(1);
      // Larger than a fragment of the watch, so that one revision comes in several.
      const many = Array.from({ length: 100 }, (_, index) => ({
        put: { key: bytes(`/t/${index}`), value: bytes('x'.repeat(10_000)) },
      }));
      await etcd.txn({
        compare: [],
        success: [...many, { deleteRange: { key: bytes('/t/a') } }],
        failure: [],
      });
      const last = await put(etcd, '/t/z', '2');
      await watch.count(3);
      expect(watch.seen.map(({ revision }) => revision)).toEqual([
        header.revision,
        header.revision + 1,
        header.revision + 2,
      ]);
      expect(watch.seen.map(({ events }) => events.length)).toEqual([1, 101, 1]);
      expect(watch.seen[1]?.events.filter(({ kind }) => kind === 'delete')).toHaveLength(1);

      const again = watched(etcd, header.revision);
      await again.count(3);
      expect(again.seen).toEqual(watch.seen);

      await etcd.compact(last.header.revision);
      expect((await watched(etcd, header.revision).failure()).reason).toBe('compacted');
    });

    test('a lease ends with its keys, and says so to who keeps it', async () => {
      const etcd = connect(await startEtcd(3));
      const lease = await etcd.leaseGrant(5);
      await put(etcd, '/t/leased', 'mine', lease.id);
      expect(await etcd.leaseKeepAlive(lease.id)).toBe(5);
      expect((await etcd.range(all)).kvs[0]?.lease).toBe(lease.id);
      await etcd.leaseRevoke(lease.id);
      expect((await etcd.range(all)).kvs).toEqual([]);
      expect(await etcd.leaseKeepAlive(lease.id)).toBe(0);
      expect((await failure(put(etcd, '/t/leased', 'mine', lease.id))).reason).toBe('lease-gone');
    });

    test('with the leader killed calls go on by another member, and nothing acknowledged is lost', async () => {
      const members = await startEtcd(3);
      const leader = await leaderOf(members);
      const etcd = connect([leader, ...members.filter((one) => one !== leader)]);
      await put(etcd, '/t/before', '1');
      await leader.kill();
      for (;;) {
        const error = await put(etcd, '/t/after', '2').then(
          () => undefined,
          (error: EtcdFailure) => error,
        );
        if (error === undefined) break;
        expect(['unknown', 'unavailable']).toContain(error.reason);
      }
      expect((await etcd.range(all)).kvs.map(({ key }) => text(key))).toEqual(['/t/after', '/t/before']);
      const status = await etcd.status((members.find((one) => one !== leader) as EtcdMember).endpoint);
      expect(status.version).toMatch(/^3\./);
      expect(status.leader).not.toBe(0n);
    });

    test('without a quorum a write is of unknown outcome, and a watch is told', async () => {
      const members = await startEtcd(3);
      const etcd = connect(members, 1_500);
      const { header } = await put(etcd, '/t/a', '1');
      const watch = watched(etcd, header.revision + 1);
      await watch.created();
      await (members[1] as EtcdMember).kill();
      await (members[2] as EtcdMember).kill();
      expect((await watch.failure()).reason).toBe('unavailable');
      const error = await failure(put(etcd, '/t/a', '2'));
      expect(['unknown', 'unavailable']).toContain(error.reason);
      expect((await failure(etcd.range(all))).reason).toBe('unavailable');
    });

    test('members of two clusters are not taken for one', async () => {
      const [one, other] = [await startEtcd(1), await startEtcd(1)];
      const etcd = connect([one[0] as EtcdMember]);
      const { header } = await etcd.range(all);
      const wrong = connectEtcd({
        endpoints: [(other[0] as EtcdMember).endpoint],
        clusterId: header.clusterId,
      });
      onTestFinished(() => wrong.close());
      expect((await failure(wrong.range(all))).reason).toBe('wrong-cluster');
    });
  },
);
