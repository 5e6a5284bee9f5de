// Goal: a pool whose log is in etcd survives any one host: another takes over by itself, nothing that was acknowledged
//   is missing, and the host that died comes back as a member.
// Method: three built programs and three members of etcd on loopback; the coordinator is killed with SIGKILL.
import { describe, expect, onTestFinished, test } from 'vitest';
import { type EtcdMember, leaderOf as leadingMember, noEtcd, startEtcd } from '../etcd-cluster.ts';
import { logIn } from './client.ts';
import { codeOf, eventually, hostRefs, leaderOf, leaderSession, poolOf } from './hosts.ts';
import { newVm, type Row } from './lab.ts';

const large = ['--max-txn-ops', '16384', '--max-request-bytes', '10485760'];
const patient = { timeout: 240_000 };

const poolOnEtcd = async (hosts: number) => {
  const members = await startEtcd(3, large);
  const engine = `etcd://${members.map(({ endpoint }) => endpoint).join(',')}`;
  const pool = await poolOf(hosts, ['--engine', engine]);
  onTestFinished(() => pool.close());
  return { members, pool };
};

describe.skipIf(noEtcd !== undefined)(`a pool on etcd${noEtcd === undefined ? '' : `: ${noEtcd}`}`, () => {
  test(
    'has another coordinator by itself when the one it had is killed, with all that was acknowledged',
    patient,
    async () => {
      const { pool, members } = await poolOnEtcd(3);
      const session = await leaderSession(pool.hosts);
      const refs = await hostRefs(session, pool.hosts);
      const vm = await newVm(session, 'survives');
      const noted: string[] = [];
      const note = async (count: number): Promise<void> => {
        const from = await leaderSession(pool.hosts);
        for (let n = 0; n < count; n += 1) {
          const key = `k${noted.length}`;
          await from.call('VM.add_to_other_config', vm, key, 'x');
          noted.push(key);
        }
      };
      await note(20);
      const first = await leaderOf(pool.hosts);
      await first.down('SIGKILL');
      const rest = pool.hosts.filter((host) => host !== first);
      const second = await leaderOf(rest);
      const pools = (await (await leaderSession(rest)).call('pool.get_all_records')) as ReadonlyMap<
        string,
        Row
      >;
      expect(refs).toContain([...pools.values()][0]?.get('master'));
      expect([...pools.values()][0]?.get('master')).not.toBe(refs[0]);

      await first.up();
      await eventually(async () => expect(await codeOf(logIn(first.http))).toBe('HOST_IS_SLAVE'));
      expect(await leaderOf(pool.hosts)).toBe(second);

      await (await leadingMember(members)).kill();
      await eventually(() => note(10));
      const last = await leaderSession(pool.hosts);
      const kept = (await last.call('VM.get_other_config', vm)) as ReadonlyMap<string, string>;
      expect([...kept.keys()]).toEqual(expect.arrayContaining(noted));
    },
  );

  test('changes nothing without a quorum, and goes on once there is one', patient, async () => {
    const { pool, members } = await poolOnEtcd(1);
    const session = await leaderSession(pool.hosts);
    const vm = await newVm(session, 'kept');
    const [, second, third] = members as readonly [EtcdMember, EtcdMember, EtcdMember];
    await second.kill();
    await third.kill();
    await expect(session.call('VM.set_name_description', vm, 'unheard')).rejects.toThrow();
    await Promise.all([second.start(), third.start()]);
    await eventually(async () =>
      (await leaderSession(pool.hosts)).call('VM.set_name_description', vm, 'heard'),
    );
    expect(await (await leaderSession(pool.hosts)).call('VM.get_name_description', vm)).toBe('heard');
  });
});
