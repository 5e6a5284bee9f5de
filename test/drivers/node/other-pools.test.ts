// Goal: another pool is sent nothing before it has shown a certificate that is in date, names it, and is the one that was
//   told or has a signature that is trusted.
// Method: an HTTPS server on loopback with certificates of each kind; what arrives there is counted.
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { generate } from 'selfsigned';
import { expect, test } from 'vitest';
import { nodeOtherPools } from '../../../src/drivers/node/other-pools.ts';

const DAY_MS = 86_400_000;

interface Kind {
  readonly address: string;
  /** From now. */
  readonly days: readonly [from: number, to: number];
}

/** What becomes of a call to a server that shows such a certificate, and how many requests it has seen. */
const called = async ({ address, days: [from, to] }: Kind, told: 'its own' | 'another' | 'none') => {
  const now = Date.now();
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'pool' }], {
    ...{ keyType: 'ec', curve: 'P-256', algorithm: 'sha256' },
    notBeforeDate: new Date(now + from * DAY_MS),
    notAfterDate: new Date(now + to * DAY_MS),
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: address }] }],
  });
  let requests = 0;
  const server = createServer({ key, cert }, (_, answer) => {
    requests += 1;
    answer.end('here');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const own = createHash('sha256').update(new X509Certificate(cert).raw).digest('hex');
  const fingerprint = { 'its own': own, another: '0'.repeat(64), none: undefined }[told];
  const place = {
    authority: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...(fingerprint !== undefined && { fingerprint }),
  };
  const asked = { method: 'POST', path: '/', contentType: 'text/xml', idleMs: 60_000 } as const;
  const outcome = await nodeOtherPools.send(place, { ...asked, body: Buffer.from('call') }).then(
    ({ status }) => status,
    ({ reason }: { readonly reason: string }) => reason,
  );
  server.close();
  server.closeAllConnections();
  return { outcome, requests };
};

const inDate = [-1, 1] as const;
const here = '127.0.0.1';

test('a pool with the certificate that was told is asked', async () => {
  expect(await called({ address: here, days: inDate }, 'its own')).toEqual({ outcome: 200, requests: 1 });
});

test.each([
  ['has expired', { address: here, days: [-2, -1] }, 'its own'],
  ['is not valid yet', { address: here, days: [1, 2] }, 'its own'],
  ['names another address', { address: '127.0.0.2', days: inDate }, 'its own'],
  ['is another than was told', { address: here, days: inDate }, 'another'],
  ['nobody told of and nobody trusted signed', { address: here, days: inDate }, 'none'],
] as const)('a pool whose certificate %s is sent nothing', async (_, kind, told) => {
  expect(await called(kind, told)).toEqual({ outcome: 'untrusted', requests: 0 });
});
