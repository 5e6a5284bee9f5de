// Goal: whoever writes a client gets a pool of many hosts from one command, and makes trouble in it.
// Method: the built program as a process, the npm client xen-api unmodified, and HTTP for the troubles.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test } from 'vitest';
import { Failure, logIn } from './client.ts';
import { password, program } from './xenact.ts';

// The package brings no types.
const name: string = 'xen-api';
const { createClient } = await import(name);

let running: ChildProcess | undefined;
let client: any;
afterEach(async () => {
  await client?.disconnect();
  client = undefined;
  if (running === undefined || running.exitCode !== null) return;
  const gone = once(running, 'exit');
  running.kill('SIGKILL');
  await gone;
  running = undefined;
});

/** Resolves with its HTTP address once it is ready. */
const sim = async (...flags: readonly string[]): Promise<string> => {
  const ports = ['--http-port', '0', '--https-port', '0'];
  const child = spawn(process.execPath, [program, 'sim', ...ports, '--root-password', password, ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running = child;
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /^xenact ready: (\S+) \S+ pool /.exec(line);
    if (found !== null) return found[1] as string;
  }
  throw new Error('xenact sim ended before it was ready');
};

const basic = `Basic ${Buffer.from(`root:${password}`).toString('base64')}`;
const post = async (http: string, path: string, body?: string) => {
  const headers = { authorization: basic };
  const answer = await fetch(`${http}${path}`, {
    method: 'POST',
    headers,
    ...(body !== undefined && { body }),
  });
  return { status: answer.status, said: (await answer.json()) as Record<string, any> };
};

const connected = async (http: string): Promise<any> => {
  client = createClient({ url: http, auth: { user: 'root', password }, watchEvents: true });
  await client.connect();
  await client.objectsFetched;
  return client;
};
/** Resolves once the client's own copy of the pool says so, which it follows by events. */
const until = (met: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (!met()) return;
      client.objects.removeListener('update', look);
      client.objects.removeListener('add', look);
      resolve();
    };
    client.objects.on('update', look);
    client.objects.on('add', look);
    look();
  });
const ofType = (type: string): any[] =>
  Object.values(client.objects.all as Record<string, any>).filter((one) => one.$type === type);

describe('xenact sim', () => {
  test('serves a pool in which a client starts VMs, moves one, and sees a host go down and come back', async () => {
    const http = await sim('--hosts', '8', '--vms', '200', '--srs', '2', '--seed', 'e2e');
    await connected(http);
    const guests = ofType('VM').filter((vm) => !vm.is_a_template && !vm.is_control_domain);
    expect([ofType('host').length, guests.length]).toEqual([8, 200]);

    const first = guests.slice(0, 20);
    await Promise.all(first.map((vm) => client.callAsync('VM.start', vm.$ref, false, false)));
    await until(() => first.every((vm) => client.getObject(vm.$ref).power_state === 'Running'));
    const vm = client.getObject(first[0].$ref);
    const lost = ofType('host').find((host) => host.$ref !== vm.resident_on && host.name_label !== 'host-01');
    await client.call('VM.pool_migrate', vm.$ref, lost.$ref, { live: 'true' });
    await until(() => client.getObject(vm.$ref).resident_on === lost.$ref);

    expect(await post(http, `/sim/hosts/${lost.name_label}/down`)).toMatchObject({ status: 200 });
    await until(() => client.getObject(lost.metrics).live === false);
    await expect(client.call('VM.clean_shutdown', vm.$ref)).rejects.toMatchObject({ code: 'HOST_OFFLINE' });
    expect(await post(http, `/sim/hosts/${lost.name_label}/up`)).toMatchObject({ status: 200 });
    await until(() => client.getObject(vm.$ref).power_state === 'Halted');
  });

  test('makes calls fail as a file says, and as it is told later', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'xenact-sim-'));
    const file = join(folder, 'faults.json');
    await writeFile(file, '{"rules": [{"method": "VM.start", "error": ["HOST_BROKEN"], "times": 1}]}');
    const http = await sim('--hosts', '2', '--vms', '2', '--latency', '1-5', '--faults', file);
    await rm(folder, { recursive: true });
    const session = await logIn(http);
    const records = (await session.call('VM.get_all_records')) as Map<string, Map<string, unknown>>;
    const [vm = ''] = [...records]
      .filter(([, one]) => one.get('name_description') === 'A simulated guest')
      .map(([ref]) => ref);
    await expect(session.call('VM.start', vm, false, false)).rejects.toMatchObject(
      new Failure(['HOST_BROKEN']),
    );
    await session.call('VM.start', vm, false, false);
    const rule = { method: 'VM.clean_shutdown', error: ['VM_SHUTDOWN_TIMEOUT', vm, '1'] };
    expect(await post(http, '/sim/faults', JSON.stringify({ rules: [rule] }))).toEqual({
      status: 200,
      said: { rules: 1 },
    });
    await expect(session.call('VM.clean_shutdown', vm)).rejects.toMatchObject({
      code: 'VM_SHUTDOWN_TIMEOUT',
    });
    expect((await post(http, '/sim/faults', '{"rules": 1}')).said).toEqual({
      error: 'rules must be a list, not 1',
    });
  });

  test('lets only a pool-admin make trouble, and says what there is to make', async () => {
    const http = await sim('--hosts', '2', '--vms', '1');
    expect((await fetch(`${http}/sim/hosts/host-02/down`, { method: 'POST' })).status).toBe(401);
    expect(await post(http, '/sim/hosts/host-01/down')).toMatchObject({ status: 409 });
    expect(await post(http, '/sim/hosts/host-09/down')).toMatchObject({ status: 404 });
    expect(await post(http, '/sim/hosts/host-02/sideways')).toMatchObject({ status: 404 });
    expect(await post(http, '/sim/vms/none/crash')).toMatchObject({ status: 409 });
    expect(await post(http, '/sim/else')).toMatchObject({ status: 404 });
    const seen = await fetch(`${http}/sim`, { headers: { authorization: basic } });
    expect(await seen.json()).toMatchObject({
      hosts: [{ name: 'host-01', up: true }, { name: 'host-02' }],
      rules: [],
    });
  });

  test('can be looked into like a pool that is real, but for a host that is off', async () => {
    const http = await sim('--hosts', '3', '--vms', '2');
    const inspect = (...flags: readonly string[]) => {
      const given = ['inspect', '--json', '--url', http, '--password', password, ...flags];
      return spawnSync(process.execPath, [program, ...given], { encoding: 'utf8' });
    };
    expect(JSON.parse(inspect().stdout)).toMatchObject([
      { host: { name: 'host-01' }, role: 'coordinator', links: [] },
      { host: { name: 'host-02' }, role: 'member', leader: 'host-01' },
      { host: { name: 'host-03' }, role: 'member' },
    ]);
    await post(http, '/sim/hosts/host-02/down');
    expect(JSON.parse(inspect().stdout)).toMatchObject([{}, { host: { name: 'host-03' } }]);
    expect(inspect('--host', 'host-02')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/HOST_OFFLINE/),
    });
  });

  test('refuses what it cannot obey, and ends by a signal', async () => {
    const { status, stderr } = spawnSync(process.execPath, [program, 'sim', '--hosts', 'many'], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([2, expect.stringContaining('--hosts must be a number from 1 to 256')]);
    await sim('--hosts', '1', '--vms', '0', '--srs', '0');
    const ended = once(running as ChildProcess, 'exit');
    running?.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});
