// Goal: the bytes of disks and of VMs are served where they are reached, and a client that asks another host is told which.
// Method: two hosts in the rows and the routes of one of them behind the real HTTP server.
import { afterAll, beforeAll, expect, test } from 'vitest';
import hostBehaviour from '../../actors/host/behaviour.ts';
import task from '../../actors/task/behaviour.ts';
import vdi from '../../actors/vdi/behaviour.ts';
import vm from '../../actors/vm/behaviour.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Served, served } from './served.ts';

const ref = <C extends string>(name: string): Ref<C> => `OpaqueRef:${name}` as Ref<C>;

let host: Served;
let session: Ref<'session'>;

beforeAll(async () => {
  host = await served({
    behaviours: [task, vdi, vm, hostBehaviour],
    others: {
      authorityOf: (other) => `${other.slice(15)}.example:8443`,
      send: () => Promise.reject(new Error('Clients are sent')),
    },
    rows: (tx) => {
      for (const name of ['near', 'far', 'off', 'shared']) {
        tx.create('SR', ref(`sr ${name}`), { uuid: `sr ${name}`, shared: name === 'shared' });
        tx.create('VDI', ref(name), { uuid: name, SR: ref(`sr ${name}`), virtual_size: 4_096n });
        tx.create('VM', ref(`vm ${name}`), { uuid: `vm ${name}` });
        tx.create('VBD', ref(`vbd ${name}`), { VM: ref(`vm ${name}`), VDI: ref(name), type: 'Disk' });
      }
      for (const name of ['far', 'off']) {
        tx.create('host_metrics', ref(`metrics ${name}`), { live: name === 'far' });
        tx.create('host', ref(`host ${name}`), { metrics: ref(`metrics ${name}`) });
        tx.create('PBD', ref(`pbd ${name}`), {
          ...{ host: ref(`host ${name}`), SR: ref(`sr ${name}`), currently_attached: true },
        });
      }
    },
  });
  const { host: self } = host.world;
  await host.world.store.commit((tx) => {
    tx.create('PBD', ref('pbd near'), { host: self, SR: ref('sr near'), currently_attached: true });
  });
  session = await host.session();
});
afterAll(() => host.close());

const ask = (method: string, disk: string, more = '', body?: string) => {
  const path = method === 'PUT' ? '/import_raw_vdi' : '/export_raw_vdi';
  const length = body === undefined ? { 'Content-Length': '0' } : {};
  const headers = method === 'PUT' ? length : {};
  const options = body === undefined ? { headers } : { headers, body };
  return host.http(method, `${path}?session_id=${session}&vdi=${disk}${more}`, options);
};

test.each(['GET', 'PUT'])(
  'a %s for a disk of another host is sent there, with all that it says',
  async (method) => {
    const answer = await ask(method, ref('far'), '&format=raw', method === 'PUT' ? 'bytes' : undefined);
    expect(answer.status).toBe(302);
    const place = new URL(answer.headers['location'] as string);
    expect(place.origin).toBe('https://far.example:8443');
    expect([...place.searchParams]).toEqual([
      ['session_id', session],
      ['vdi', ref('far')],
      ['format', 'raw'],
    ]);
  },
);

test.each([
  ['GET', '/export?uuid=vm%20far'],
  ['PUT', '/import?sr_uuid=sr%20far'],
])('a %s of %s is sent to the host that reaches all its disks', async (method, path) => {
  const answer = await host.http(method, `${path}&session_id=${session}`);
  expect([answer.status, answer.headers['location']]).toEqual([
    302,
    expect.stringContaining('https://far.example:8443'),
  ]);
});

test('a file is fetched by the host that reaches the repository for it', async () => {
  const args = [session, 'http://files.example/vm.xva', ref('sr far'), false, false];
  // To which no call comes in this test.
  await expect(host.call('VM.import', ...args)).rejects.toThrow(`HOST_OFFLINE ${ref('host far')}`);
});

test('an empty PUT asks whether this is the right host', async () => {
  expect((await ask('PUT', ref('near'))).status).toBe(200);
  expect((await ask('PUT', 'far')).status).toBe(302);
});

test('the task of a request that is sent elsewhere is left for whoever does it', async () => {
  const waiting = (await host.call('task.create', session, 'upload', '')) as Ref<'task'>;
  expect((await ask('PUT', ref('far'), `&task_id=${waiting}`)).status).toBe(302);
  expect(host.world.store.committed.require('task', waiting).status).toBe('pending');
});

test('nobody is sent to a host that is off, nor away from the coordinator for what all share', async () => {
  const off = await ask('GET', ref('off'));
  expect([off.status, off.body.includes('HOST_OFFLINE')]).toEqual([500, true]);
  expect((await ask('GET', ref('shared'))).body).toContain('SR_HAS_NO_PBDS');
});

test('nobody is told anything without a session', async () => {
  const answer = await host.http('GET', `/export_raw_vdi?vdi=${ref('far')}`);
  expect(answer.status).toBe(401);
  expect(answer.headers['location']).toBeUndefined();
});
