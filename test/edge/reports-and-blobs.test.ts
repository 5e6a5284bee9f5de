// Goal: a blob gives back what was put into it, to whom it may; a report and logs are archives that tell nothing secret.
// Method: one host behind the real HTTP server, asked by users of several roles; archives are read by the codec.
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import blobs from '../../actors/blob/behaviour.ts';
import { blobBytesMax } from '../../actors/blob/class.ts';
import hosts from '../../actors/host/behaviour.ts';
import secrets from '../../actors/secret/behaviour.ts';
import { readTarHead, tarPadding } from '../../src/codec/tar.ts';
import type { Value } from '../../src/std/value.ts';
import { type Served, served } from './served.ts';

let host: Served;
let root: string;
beforeAll(async () => {
  const files = {
    audit: async function* () {
      yield Buffer.from('{"at":"2026-01-01T00:00:00.000Z"}\n');
    },
    logs: async function* () {
      yield { name: 'xenact.log', bytes: Buffer.from('a line\n') };
    },
    backup: async function* () {
      yield { name: 'backup.json', bytes: Buffer.from('{}') };
    },
  };
  host = await served({ behaviours: [blobs, hosts, secrets], services: { files } });
  root = await host.session();
});
afterAll(() => host.close());

const as = (session: string): string => `session_id=${session}`;

describe('a blob', () => {
  const made = async (isPublic: boolean): Promise<string> =>
    host.call('blob.create', root, 'text/plain', isPublic);

  test('gives back what was put into it, and says how much it is and since when', async () => {
    const blob = await made(false);
    const bytes = Buffer.from([0, 255, 13, 10, 128]);
    const put = await host.http('PUT', `/blob?ref=${blob}&${as(root)}`, { body: bytes });
    expect(put.status).toBe(200);
    const record = await host.call('blob.get_record', root, blob);
    expect(String(record.get('size'))).toBe('5');
    const got = await host.http('GET', `/blob?uuid=${record.get('uuid')}&${as(root)}`);
    expect([got.headers['content-type'], got.headers['content-length']]).toEqual(['text/plain', '5']);
    expect(got.bytes).toEqual(bytes);
  });

  test('is read by anybody where it is public, and else by whoever has a session', async () => {
    const [open, closed] = [await made(true), await made(false)];
    const reader = await host.sessionWithRole('read-only');
    expect((await host.http('GET', `/blob?ref=${open}`)).status).toBe(200);
    expect((await host.http('GET', `/blob?ref=${closed}`)).status).toBe(401);
    expect((await host.http('GET', `/blob?ref=${open}&session_id=OpaqueRef:none`)).status).toBe(401);
    expect((await host.http('GET', `/blob?ref=${closed}&${as(reader)}`)).status).toBe(200);
  });

  test('is written by a vm-power-admin and nobody below', async () => {
    const blob = await made(true);
    const put = async (query: string): Promise<number> =>
      (await host.http('PUT', `/blob?ref=${blob}&${query}`, { body: 'x' })).status;
    expect(await put('')).toBe(401);
    expect(await put(as(await host.sessionWithRole('vm-admin')))).toBe(403);
    expect(await put(as(await host.sessionWithRole('vm-power-admin')))).toBe(200);
  });

  test('takes no more than it holds, and keeps what it had', async () => {
    const blob = await made(false);
    await host.http('PUT', `/blob?ref=${blob}&${as(root)}`, { body: 'kept' });
    const tooMuch = { body: Buffer.alloc(blobBytesMax + 1) };
    const refused = await host.http('PUT', `/blob?ref=${blob}&${as(root)}`, tooMuch);
    expect(refused.body).toContain(`at most ${blobBytesMax} bytes`);
    expect((await host.http('GET', `/blob?ref=${blob}&${as(root)}`)).body).toBe('kept');
    const full = await host.http('PUT', `/blob?ref=${blob}&${as(root)}`, {
      body: Buffer.alloc(blobBytesMax),
    });
    expect(full.status).toBe(200);
  });

  test('that there is not is not found', async () => {
    expect((await host.http('GET', `/blob?ref=OpaqueRef:none&${as(root)}`)).status).toBe(404);
  });
});

/** Names and contents of the files of an archive. */
const filesIn = (archive: Buffer): ReadonlyMap<string, string> => {
  const files = new Map<string, string>();
  for (let at = 0; ; ) {
    const head = readTarHead(archive.subarray(at, at + 512));
    if (head === undefined) return files;
    at += 512;
    files.set(head.name, archive.toString('utf8', at, at + head.sizeBytes));
    at += head.sizeBytes + tarPadding(head.sizeBytes);
  }
};

describe('a report of the host', () => {
  const report = async (query: string) => host.http('GET', `/system-status?${query}&${as(root)}`);

  test('has rows and logs, and neither secrets nor what clients wrote', async () => {
    await host.call(
      'secret.create',
      root,
      new Map<string, Value>([
        ['value', 'hunter2'],
        ['other_config', new Map()],
      ]),
    );
    const [ref] = await host.call('host.get_all', root);
    await host.call('host.add_to_other_config', root, ref, 'password', 'swordfish');
    const { status, bytes } = await report('output=tar');
    expect(status).toBe(200);
    const files = filesIn(bytes);
    expect(files.get('logs/xenact.log')).toBe('a line\n');
    expect(JSON.parse(files.get('rows/host-0.jsonl') ?? '')).toMatchObject({ ref, enabled: true });
    const all = [...files].flat().join('\n');
    for (const secret of ['hunter2', 'swordfish', root]) expect(all).not.toContain(secret);
  });

  test('has the parts that were asked for, of those that it lists', async () => {
    const { headers, body } = await report('list=');
    expect(headers['content-type']).toBe('application/xml');
    const keys = [...body.matchAll(/ key="([^"]+)"/g)].map(([, key]) => key);
    expect(keys).toContain('xenserver-logs');
    expect(await host.call('host.get_system_status_capabilities', root, host.world.host)).toBe(body);
    const { bytes } = await report('entries=xenserver-logs,unknown');
    expect([...filesIn(bytes).keys()]).toEqual(['logs/xenact.log']);
  });

  test('in a format that is not made is refused with what to ask for', async () => {
    const { status, body } = await report('output=zip');
    expect([status, body]).toEqual([500, expect.stringContaining('ask for tar')]);
  });

  test('and its logs are for operators of the pool', async () => {
    const reader = await host.sessionWithRole('vm-power-admin');
    for (const path of ['/system-status', '/host_logs_download'])
      expect((await host.http('GET', `${path}?${as(reader)}`)).status).toBe(403);
    const operator = await host.sessionWithRole('pool-operator');
    const { bytes } = await host.http('GET', `/host_logs_download?${as(operator)}`);
    expect([...filesIn(gunzipSync(bytes)).keys()]).toEqual(['logs/xenact.log', 'logs/audit-0.log']);
  });
});
