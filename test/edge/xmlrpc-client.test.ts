// Goal: a client that knows nothing of Xenact speaks with it in XML-RPC: calls, records and faults.
// Method: the npm package xmlrpc, which the product does not use, calls a host behind its real HTTP server.
import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Served, served } from './served.ts';

interface Client {
  methodCall(
    method: string,
    params: readonly unknown[],
    done: (error: Error | null, value: unknown) => void,
  ): void;
}
const xmlrpc: { createClient(to: { host: string; port: number; path: string }): Client } = createRequire(
  import.meta.url,
)('xmlrpc');

let host: Served;
let client: Client;
beforeAll(async () => {
  host = await served();
  client = xmlrpc.createClient({ host: '127.0.0.1', port: host.port, path: '/RPC2' });
});
afterAll(() => host.close());

const call = (method: string, ...params: readonly unknown[]): Promise<any> =>
  new Promise((resolve, reject) => {
    client.methodCall(method, params, (error, value) => (error === null ? resolve(value) : reject(error)));
  });

test('logs in, reads what it is and logs out', async () => {
  const opened = await call(
    'session.login_with_password',
    'root',
    'pa:ss',
    '1.0',
    'a client of another maker',
  );
  expect(opened).toMatchObject({ Status: 'Success', Value: expect.stringMatching(/^OpaqueRef:/) });
  const record = await call('session.get_record', opened.Value, opened.Value);
  expect(record.Value).toMatchObject({ originator: 'a client of another maker', is_local_superuser: true });
  expect(await call('session.logout', opened.Value)).toEqual({ Status: 'Success', Value: '' });
});

test('hears a failure as a code and its parameters, with texts as they were sent', async () => {
  expect(await call('session.get_uuid', 'OpaqueRef:<&">', 'OpaqueRef:<&">')).toEqual({
    Status: 'Failure',
    ErrorDescription: ['SESSION_INVALID', 'OpaqueRef:<&">'],
  });
  expect(await call('VM.no_such_message')).toMatchObject({
    Status: 'Failure',
    ErrorDescription: ['MESSAGE_METHOD_UNKNOWN', 'VM.no_such_message'],
  });
});
