// Goal: the certificates that a host makes for itself are taken by TLS clients that trust them.
// Method: parsed with node:crypto and used in real handshakes.
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { expect, test } from 'vitest';
import { makeAuthority, makeCertificate, signedCertificate } from '../../../src/drivers/node/certificate.ts';

const DAY_MS = 86_400_000;

test('the certificate names the loopback and what was asked for', async () => {
  const { cert } = await makeCertificate({ names: ['host-1.example', '192.0.2.7', '2001:db8::7'], days: 10 });
  const parsed = new X509Certificate(cert);
  for (const name of ['localhost', 'host-1.example']) expect(parsed.checkHost(name)).toBe(name);
  for (const address of ['127.0.0.1', '::1', '192.0.2.7', '2001:db8::7']) {
    expect(parsed.checkIP(address)).toBe(address);
  }
  expect(parsed.checkHost('other.example')).toBe(undefined);
  expect(parsed.subject).toBe('CN=host-1.example');
  expect(parsed.ca).toBe(false);
});

test('the certificate lasts as long as asked for and is valid for clocks that are behind', async () => {
  const parsed = new X509Certificate((await makeCertificate({ names: [], days: 3650 })).cert);
  const ends = Date.parse(parsed.validTo);
  expect(Math.abs(ends - (Date.now() + 3650 * DAY_MS))).toBeLessThan(60_000);
  expect(Date.parse(parsed.validFrom)).toBeLessThan(Date.now() - DAY_MS / 2);
});

test('two certificates have different keys and serial numbers', async () => {
  const [one, other] = await Promise.all([1, 2].map(() => makeCertificate({ names: [], days: 1 })));
  expect(one!.key).not.toBe(other!.key);
  expect(new X509Certificate(one!.cert).serialNumber).not.toBe(new X509Certificate(other!.cert).serialNumber);
});

test('a client that trusts the certificate accepts the handshake, by name and by address', async () => {
  const made = await makeCertificate({ names: [], days: 1 });
  const server = createServer(made, (socket) => socket.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    for (const host of ['localhost', '127.0.0.1']) {
      const client = connect({ port, host, ca: made.cert, family: 4 } as object);
      const [data] = await once(client, 'data');
      expect(client.authorized).toBe(true);
      expect(String(data)).toBe('hello');
      client.destroy();
    }
  } finally {
    server.close();
  }
});

test('names that are none, too many names and impossible lengths of time are refused', async () => {
  for (const name of ['', 'a b', 'x,O=Evil', 'a'.repeat(300), '-a', 'a..b']) {
    await expect(makeCertificate({ names: [name], days: 1 })).rejects.toThrow('no host name');
  }
  const many = Array.from({ length: 64 }, (_, index) => `host-${index}`);
  await expect(makeCertificate({ names: many, days: 1 })).rejects.toThrow('at most 64');
  for (const days of [0, -1, Number.NaN, 40_000]) {
    await expect(makeCertificate({ names: [], days })).rejects.toThrow('days');
  }
});

test('a certificate that an authority signed is trusted by whom trusts it, and by nobody else', async () => {
  const [ours, other] = await Promise.all(['ours', 'other'].map((name) => makeAuthority({ name, days: 10 })));
  const { cert } = await signedCertificate(ours!, { commonName: 'member', names: ['192.0.2.7'], days: 5 });
  const [authority, signed] = [new X509Certificate(ours!.cert), new X509Certificate(cert)];
  expect(authority.ca).toBe(true);
  expect(signed.ca).toBe(false);
  expect(signed.checkIssued(authority) && signed.verify(authority.publicKey)).toBe(true);
  expect(signed.verify(new X509Certificate(other!.cert).publicKey)).toBe(false);
  expect(signed.subject).toBe('CN=member');
  expect(signed.checkIP('192.0.2.7')).toBe('192.0.2.7');
});
