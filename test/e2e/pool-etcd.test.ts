// Goal: a pool whose log is in etcd survives any one host: another takes over by itself, nothing that was acknowledged
//   is missing, and the host that died comes back as a member.
// Method: three built programs and three members of etcd on loopback; the coordinator is killed with SIGKILL.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeAuthority, signedCertificate } from '../../src/drivers/node/certificate.ts';
import { type EtcdMember, leaderOf as leadingMember, noEtcd, startEtcd } from '../etcd-cluster.ts';
import { logIn } from './client.ts';
import { codeOf, eventually, hostRefs, leaderOf, leaderSession, poolOf } from './hosts.ts';
import { newVm, type Row } from './lab.ts';
import { newDataFolder } from './xenact.ts';

const large = ['--max-txn-ops', '16384', '--max-request-bytes', '10485760'];
const patient = { timeout: 240_000 };

/** Files of an authority, and of a certificate that it signed, for members and hosts alike. */
const certificates = async (): Promise<{
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}> => {
  const folder = await newDataFolder();
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const authority = await makeAuthority({ name: 'etcd of a test', days: 3 });
  const own = await signedCertificate(authority, { commonName: 'member', names: ['127.0.0.1'], days: 3 });
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };
  return {
    ca: await file('ca.pem', authority.cert),
    cert: await file('cert.pem', own.cert),
    key: await file('key.pem', own.key),
  };
};

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

  test(
    'answers a change that lost its quorum once there is one again, and goes on, with certificates',
    patient,
    async () => {
      const { ca, cert, key } = await certificates();
      const tls = ['--trusted-ca-file', ca, '--cert-file', cert, '--key-file', key, '--client-cert-auth'];
      const members = await startEtcd(3, [...large, ...tls], 'https');
      const engine = `etcd://${members.map(({ endpoint }) => endpoint).join(',')}`;
      const shown = ['--engine-cert', cert, '--engine-key', key];
      const pool = await poolOf(1, ['--engine', engine, '--engine-ca', ca, ...shown]);
      onTestFinished(() => pool.close());
      const session = await leaderSession(pool.hosts);
      const vm = await newVm(session, 'kept');
      const [, second, third] = members as readonly [EtcdMember, EtcdMember, EtcdMember];
      await second.kill();
      await third.kill();
      const underWay = session.call('VM.set_name_description', vm, 'under way').then(
        () => 'made',
        () => 'refused',
      );
      await Promise.all([second.start(), third.start()]);
      expect(['made', 'refused']).toContain(await underWay);
      await eventually(async () =>
        (await leaderSession(pool.hosts)).call('VM.set_name_description', vm, 'heard'),
      );
      expect(await (await leaderSession(pool.hosts)).call('VM.get_name_description', vm)).toBe('heard');
    },
  );
});
