// Goal: a member that is reached by its address is known by its certificate, and told no name that is an address.
// Method: HTTP/2 servers on loopback whose certificates name the address that they have, or another.
import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import { type AddressInfo, isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { makeAuthority, signedCertificate } from '../../../../src/drivers/node/certificate.ts';
import { connectEtcd } from '../../../../src/drivers/node/etcd/etcd.ts';

const address = '127.0.0.41';

/** What a member with a certificate for `named` answers, and the names by which it was asked. */
const asked = async (named: string) => {
  const authority = await makeAuthority({ name: 'a cluster', days: 1 });
  const { key, cert } = await signedCertificate(authority, { commonName: 'm', names: [named], days: 1 });
  const server = createSecureServer({ key, cert });
  const names: TLSSocket['servername'][] = [];
  let calls = 0;
  server.on('secureConnection', ({ servername }: TLSSocket) => names.push(servername));
  server.on('sessionError', () => {});
  server.on('stream', (stream) => {
    calls += 1;
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' },
      { endStream: true },
    );
  });
  server.listen(0, address);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const etcd = connectEtcd({ endpoints: [`${address}:${port}`], tls: { ca: authority.cert } });
  onTestFinished(() => etcd.close());
  const { reason } = await etcd.status(`${address}:${port}`).then(
    () => ({ reason: 'done' }),
    (error) => error,
  );
  return { reason, names, calls };
};

test('A member is asked by no address, and taken for the one that its certificate names', async () => {
  const { reason, names, calls } = await asked(address);
  expect({ reason, calls }).toEqual({ reason: 'refused', calls: 1 });
  expect(names).toHaveLength(1);
  for (const name of names) expect(isIP(name || '')).toBe(0);
});

test('A member whose certificate names another address is told nothing', async () => {
  expect(await asked('127.0.0.42')).toMatchObject({ reason: 'denied', calls: 0 });
});
