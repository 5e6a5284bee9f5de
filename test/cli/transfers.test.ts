// Goal: a command that moves a file ends as both sides of the transfer did, and leaves no task behind.
// Method: a world with a VM behind the real HTTP server; the client fetches over HTTP what it is told to, or fails.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import type { Ref } from '../../src/model/types.ts';
import { type HttpReply, type Served, served } from '../edge/served.ts';
import { type Said, type XeOptions, xe } from './client.ts';

let at: Served;
beforeAll(async () => {
  at = await served({
    behaviours,
    rows: (tx) => {
      const fields = { power_state: 'Halted', is_a_template: false } as const;
      tx.create('VM', 'OpaqueRef:web' as Ref<'VM'>, { uuid: 'web-uuid', name_label: 'web', ...fields });
    },
  });
});
afterAll(() => at.close());

const run = (words: readonly string[], more: Partial<XeOptions> = {}): Promise<Said> =>
  xe(words, { at: { port: at.port }, ...more });
const tasks = (): number => [...at.world.store.latest.all('task')].length;
const exporting = ['vm-export', 'vm=web', 'filename=web.xva', 'metadata=true'];

test('what the client was told to fetch is what it has in the end', async () => {
  const got: [string, string, HttpReply][] = [];
  const transfer: XeOptions['transfer'] = async (kind, file, path) => {
    const reply = await at.http('GET', path);
    got.push([kind, file, reply]);
    return reply.status === 200;
  };
  expect(await run(exporting, { transfer })).toMatchObject({ out: 'Export succeeded\n', err: '', status: 0 });
  expect(got).toHaveLength(1);
  const [[kind, file, reply]] = got as [[string, string, HttpReply]];
  expect([kind, file, reply.status]).toEqual(['get', 'web.xva', 200]);
  expect(reply.body).toContain('ova.xml');
  expect(tasks()).toBe(0);
});

test('a transfer that the server refuses ends as its task did', async () => {
  const transfer: XeOptions['transfer'] = async (_, __, path) => {
    // Its object is gone by the time that the client comes.
    const { status } = await at.http('GET', path.replace('web-uuid', 'gone-uuid'));
    return status === 200;
  };
  const { out, err, status } = await run(exporting, { transfer });
  expect([out, status]).toEqual(['', 1]);
  expect(err).toContain('gone-uuid');
  expect(tasks()).toBe(0);
});

test('a client that cannot do it ends the command, and its task', async () => {
  const { out, err, status } = await run(exporting, { transfer: async () => false });
  expect([out, status]).toEqual(['', 1]);
  expect(err).toMatch(/CLIENT_ERROR|Client error/);
  expect(tasks()).toBe(0);
});

test('a file that the client cannot read ends the command before anything is called', async () => {
  const words = ['host-call-plugin', 'plugin=p', 'fn=f', 'args:text:file=no-such-file'];
  const host = at.world.store.committed.require('host', at.world.host).uuid;
  const { err, status } = await run([...words, `host-uuid=${host}`]);
  expect({ err, status }).toEqual({ err: 'Error: Failed to read no-such-file\n', status: 1 });
  expect(at.takeErrors()).toEqual([]);
});

test('an import is not begun where it could not do all that was asked', async () => {
  for (const [word, said] of [
    ['dry-run=true', /^Error: .*metadata=true\n$/],
    ['url=http://127.0.0.1/web.xva', /^Error: .*either url or filename/],
    ['type=vmware', /^Error code: Missing parameter\n/],
  ] as const) {
    const { err, status } = await run(['vm-import', 'filename=web.xva', word]);
    expect(status).toBe(1);
    expect(err).toMatch(said);
  }
  expect(tasks()).toBe(0);
});

test('a URL is asked for by the server, and no file by the client', async () => {
  const words = ['vm-import', 'url=http://files.example/web.xva', 'sr-uuid=none'];
  expect((await run(words)).err).toContain('type: SR');
  expect((await run(['vm-import', 'url=web.xva'])).err).toBe('Error: web.xva is no URL\n');
  expect(tasks()).toBe(0);
});

test('metadata is sent where metadata is taken, with what disks are called here', async () => {
  const paths: string[] = [];
  const transfer: XeOptions['transfer'] = async (_, __, path) => {
    paths.push(path);
    return false;
  };
  const words = ['vm-import', 'filename=web.xva', 'metadata=true', 'dry-run=true', 'vdi:old=new'];
  await run(words, { transfer });
  const [asked = ''] = paths;
  const { pathname, searchParams } = new URL(asked, 'http://host');
  expect([pathname, searchParams.get('dry_run'), searchParams.get('vdi:old')]).toEqual([
    ...['/import_metadata', 'true', 'new'],
  ]);
  expect(tasks()).toBe(0);
});

test('a door that is not built says so by the task that was made for it', async () => {
  const transfer: XeOptions['transfer'] = async (_, __, path) => (await at.http('GET', path)).status === 200;
  const { err, status } = await run(['pool-retrieve-wlb-diagnostics', 'filename=wlb'], { transfer });
  expect(status).toBe(1);
  expect(err).toContain('function: get_wlb_diagnostics');
  expect(tasks()).toBe(0);
});
