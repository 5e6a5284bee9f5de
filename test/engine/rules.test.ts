// Goal: what is decided about a cluster without asking anybody: who is a member, how etcd is started, what room is kept.
// Method: the rules alone, with values that people and peers may give.
import { describe, expect, test } from 'vitest';
import type { MemberStatus } from '../../src/drivers/etcd.ts';
import { ballastRule } from '../../src/engine/ballast.ts';
import { assertMayLeave, chosenHosts, hostNamed } from '../../src/engine/changes.ts';
import type { EngineHost } from '../../src/engine/context.ts';
import { etcdFlags, etcdVersionOf, type Member } from '../../src/engine/etcd-flags.ts';
import { givenAdvice, isFull, oneMember } from '../../src/engine/status.ts';
import { nextToDefragment } from '../../src/engine/tending.ts';
import type { MemberView } from '../../src/engine/view.ts';
import type { Ref } from '../../src/model/types.ts';

const hosts = (count: number): readonly EngineHost[] =>
  Array.from({ length: count }, (_, index) => ({
    ref: `OpaqueRef:${index}` as Ref<'host'>,
    name: `host-${index}`,
    address: `192.0.2.${index}`,
  }));
const own = 'OpaqueRef:0' as Ref<'host'>;
const chosen = (
  count: number,
  wanted: 'auto' | readonly string[],
  away: readonly string[] = [],
): readonly string[] =>
  chosenHosts(hosts(count), own, (ref) => !away.includes(ref), wanted).map(({ name }) => name);

describe('members', () => {
  test('are three, five from eight hosts on, the coordinator among them and nobody that is away', () => {
    expect(chosen(3, 'auto')).toEqual(['host-0', 'host-1', 'host-2']);
    expect(chosen(8, 'auto')).toHaveLength(5);
    expect(chosen(4, 'auto', ['OpaqueRef:1'])).toEqual(['host-0', 'host-2', 'host-3']);
    expect(() => chosen(3, 'auto', ['OpaqueRef:1'])).toThrow('host-1 (192.0.2.1) cannot be reached');
  });
  test('are none in pools of one and two, which are told what two can and cannot do', () => {
    expect(() => chosen(1, 'auto')).toThrow('a cluster of one member survives nothing');
    expect(() => chosen(2, ['host-0', 'host-1'])).toThrow('witness');
  });
  test('may be named, in odd numbers, each once and clearly', () => {
    expect(chosen(5, ['192.0.2.4', 'OpaqueRef:2', 'host-1'])).toEqual(['host-4', 'host-2', 'host-1']);
    expect(() => chosen(5, ['host-1'])).toThrow('three, five or seven');
    expect(() => chosen(5, ['host-1', 'host-2', 'host-3', 'host-4'])).toThrow('survive no more losses');
    expect(() => chosen(5, ['host-1', '192.0.2.1', 'host-2'])).toThrow('named twice');
    expect(() => chosen(5, ['host-1', 'host-2', 'host-9'])).toThrow('no host "host-9"');
    const twins = hosts(2).map((host) => ({ ...host, name: 'twin' }));
    expect(() => hostNamed(twins, 'twin')).toThrow('name one by its address');
  });
});

const member: Member = {
  ...{ name: 'a-1', address: '192.0.2.1', clientPort: 2379, peerPort: 2380, token: 'xenact-1', joins: 'new' },
  initial: [
    { name: 'a-1', peerUrl: 'https://192.0.2.1:2380' },
    { name: 'b-2', peerUrl: 'https://[2001:db8::1]:2380' },
  ],
};
const files = { data: '/d', authority: '/a', certificate: '/c', key: '/k' };

describe('the command line of etcd', () => {
  test('has both ways of asking for a certificate, pre-vote, a token and the limits that groups of commits need', () => {
    const flags = etcdFlags(member, files);
    for (const flag of [
      '--client-cert-auth',
      '--peer-client-cert-auth',
      '--pre-vote',
      '--strict-reconfig-check',
    ])
      expect(flags).toContain(flag);
    const given = (flag: string) => flags[flags.indexOf(flag) + 1];
    expect(given('--max-txn-ops')).toBe('16384');
    expect(given('--initial-cluster-token')).toBe('xenact-1');
    expect(given('--initial-cluster')).toBe('a-1=https://192.0.2.1:2380,b-2=https://[2001:db8::1]:2380');
    expect(flags.filter((flag) => flag.includes('http:'))).toEqual([]);
  });
  test('is made of checked values alone', () => {
    const bad: readonly Partial<Member>[] = [
      { name: '--force-new-cluster' },
      { name: 'a,b=https://192.0.2.9:1' },
      { address: '0.0.0.0' },
      { address: '::' },
      { address: 'example.org' },
      { address: '192.0.2.1:2379,http://192.0.2.9' },
      { clientPort: 2380 },
      { clientPort: 0 },
      { peerPort: 70_000 },
      { token: 'a b' },
      { initial: [] },
      { initial: [{ name: 'a-1', peerUrl: 'http://192.0.2.1:2380' }] },
      { initial: [{ name: 'a-1', peerUrl: 'https://192.0.2.1:2380,x=https://192.0.2.9:1' }] },
      { initial: [{ name: 'b-2', peerUrl: 'https://192.0.2.1:2380' }] },
    ];
    for (const part of bad) expect(() => etcdFlags({ ...member, ...part }, files)).toThrow();
  });
  test('is known for the versions from 3.4.23 to 3.6', () => {
    const version = (text: string) => etcdVersionOf(`etcd Version: ${text}\nGit SHA: x\n`);
    expect(['3.4.23', '3.5.0', '3.6.11'].map(version)).toEqual(['3.4.23', '3.5.0', '3.6.11']);
    for (const other of ['3.4.22', '3.3.25', '3.7.0', '4.0.0'])
      expect(() => version(other)).toThrow('is not known here');
    expect(() => etcdVersionOf('usage: something else')).toThrow('does not say that it is etcd');
  });
});

const MiB = 1_048_576;
const viewed = (id: bigint, more: Partial<MemberStatus> = {}): MemberView => ({
  ...{ id, name: `m${id}`, peerUrls: [], clientUrls: [], learner: false, endpoint: `192.0.2.${id}:2379` },
  status: {
    ...{ header: { clusterId: 1n, memberId: id, revision: 1, raftTerm: 1 }, version: '3.5.0', raftIndex: 1 },
    ...{ dbSizeBytes: 100 * MiB, dbInUseBytes: 90 * MiB, leader: 1n, errors: [], learner: false },
    ...more,
  },
});
const away = (id: bigint): MemberView => ({ ...viewed(id), status: undefined });
const wasteful = { dbSizeBytes: 200 * MiB, dbInUseBytes: 90 * MiB };

test('members give room back one at a time, the leader last, where there is much of it', () => {
  const next = (...members: MemberView[]) => nextToDefragment({ members, alarms: [] })?.id;
  expect(next(viewed(1n), viewed(2n))).toBeUndefined();
  expect(next(viewed(1n, wasteful), viewed(2n, wasteful), viewed(3n))).toBe(2n);
  expect(next(viewed(1n, wasteful), viewed(2n))).toBe(1n);
  expect(next(viewed(1n, { dbSizeBytes: 2 * MiB, dbInUseBytes: 0 }))).toBeUndefined();
});

test('whoever is well leaves only where three stay, and whoever is gone may, while all others are well', () => {
  const view = (...members: MemberView[]) => ({ clusterId: 1n, members, alarms: [] });
  const [one, two, three, four] = [viewed(1n), viewed(2n), viewed(3n), viewed(4n)];
  expect(() => assertMayLeave(view(one, two, three, four), four, 'x')).not.toThrow();
  expect(() => assertMayLeave(view(one, two, three), three, 'x')).toThrow('would survive no loss');
  expect(() => assertMayLeave(view(one, two, away(3n)), away(3n), 'x')).not.toThrow();
  expect(() => assertMayLeave(view(one, two, away(3n), four), four, 'x')).toThrow('not healthy');
  const corrupt = [{ member: 4n, kind: 'CORRUPT' as const }];
  expect(() => assertMayLeave({ ...view(one, two, three, four), alarms: corrupt }, four, 'x')).not.toThrow();
  expect(() => assertMayLeave({ ...view(one, two, three, four), alarms: corrupt }, three, 'x')).toThrow(
    'CORRUPT',
  );
});

test('the ballast is made where there is plenty of room and given up when there is next to none', () => {
  expect(ballastRule(BigInt(300 * MiB), 100 * MiB, false)).toBe('make');
  expect(ballastRule(BigInt(200 * MiB), 100 * MiB, false)).toBe('leave');
  expect(ballastRule(BigInt(200 * MiB), 100 * MiB, true)).toBe('leave');
  expect(ballastRule(BigInt(20 * MiB), 100 * MiB, true)).toBe('give up');
});

test('a disk is full with a tenth of it left, or with less room than the cluster may come to need', () => {
  const GiB = 1_024 * MiB;
  const full = (freeBytes: number, totalBytes: number) => isFull({ freeBytes, totalBytes, ballast: true });
  expect([full(2 * GiB, 10 * GiB), full(0.9 * GiB, 10 * GiB)]).toEqual([false, true]);
  expect([full(9 * GiB, 1_000 * GiB), full(7 * GiB, 1_000 * GiB)]).toEqual([false, true]);
});

describe('a cluster that is looked after elsewhere', () => {
  const view = (version: string, count: number) => ({
    clusterId: 1n,
    alarms: [],
    members: Array.from(
      { length: count },
      (_, index): MemberView => ({
        ...{ id: BigInt(index), name: '', peerUrls: [], clientUrls: [], learner: false },
        ...{ endpoint: `192.0.2.${index}:2379`, status: { version } as MemberStatus },
      }),
    ),
  });
  test('is told of where its version is old, or it has one member for a pool of several hosts', () => {
    expect(givenAdvice(view('3.5.9', 3), 3)).toEqual([]);
    expect(givenAdvice(view('3.5.9', 1), 1)).toEqual([]);
    expect(givenAdvice(view('3.5.9', 1), 2)).toEqual([expect.stringContaining('has one member')]);
    expect(givenAdvice(view('3.4.23', 3), 3)).toEqual([expect.stringContaining('192.0.2.2:2379')]);
    expect(oneMember(1)).toBeUndefined();
  });
});
