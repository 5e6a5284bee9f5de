// Goal: starting and stopping, and what a user hears when a start cannot succeed.
// Method: the built program as a process, with the simulated hypervisor.
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { call, Failure, logIn } from './client.ts';
import { clean, newDataFolder, password, processesOf, program, start, type Xenact } from './xenact.ts';

let data: string;
let running: Xenact[];
beforeEach(async () => {
  data = await newDataFolder();
  running = [];
});
afterEach(async () => {
  for (const one of running) await one.end('SIGKILL');
  await clean(data);
});

const up = async (...flags: string[]): Promise<Xenact> => {
  const one = await start(data, ['--hypervisor', 'sim', ...flags]);
  running.push(one);
  return one;
};

/** Runs it to an end that must come by itself. */
const fail = (...args: string[]) =>
  spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', timeout: 30_000 });

describe('xenact up', () => {
  test('is ready with one line, answers /healthz and stops cleanly on SIGTERM', async () => {
    const xenact = await up('--name', 'lab');
    expect(xenact.printed.find((line) => line.startsWith('xenact ready'))).toMatch(
      /^xenact ready: http:\/\/127\.0\.0\.1:\d+ https:\/\/127\.0\.0\.1:\d+ pool lab$/,
    );
    expect((await fetch(`${xenact.http}/healthz`)).status).toBe(200);
    expect(await xenact.end('SIGTERM')).toBe(0);
    expect(processesOf(data)).toEqual([]);
  });

  test('gives a pool with a host, dom0, storage, networks, roles and templates', async () => {
    const { call } = await logIn((await up()).http);
    const count = async (cls: string): Promise<number> => ((await call(`${cls}.get_all`)) as string[]).length;
    expect(await count('pool')).toBe(1);
    expect(await count('host')).toBe(1);
    expect(await count('SR')).toBe(2);
    for (const cls of ['SM', 'PBD', 'network', 'role', 'host_cpu', 'host_metrics']) {
      expect(await count(cls), cls).toBeGreaterThan(0);
    }
    expect(await call('VM.get_by_name_label', 'Other install media')).toHaveLength(1);
    const [pool] = (await call('pool.get_all')) as string[];
    const sr = (await call('pool.get_default_SR', pool as string)) as string;
    expect(await call('SR.get_type', sr)).toBe('file');
    expect(await call('SR.get_allowed_operations', sr)).toContain('vdi_create');
  });

  test('keeps its rows and its password over a restart, and makes nothing twice', async () => {
    const first = await up();
    const before = await logIn(first.http);
    const vms = ((await before.call('VM.get_all')) as string[]).toSorted();
    const [pool] = (await before.call('pool.get_all')) as string[];
    await before.call('pool.set_name_description', pool as string, 'kept');
    await first.end('SIGTERM');
    const after = await logIn((await up()).http);
    expect(((await after.call('VM.get_all')) as string[]).toSorted()).toEqual(vms);
    expect(await after.call('pool.get_name_description', pool as string)).toBe('kept');
    expect((await after.call('SR.get_all')) as string[]).toHaveLength(2);
  });

  test('refuses a wrong password after its delay, and says so', async () => {
    const { http } = await up();
    await expect(call(http, 'session.login_with_password', ['root', 'wrong'])).rejects.toMatchObject({
      code: 'SESSION_AUTHENTICATION_FAILED',
    });
    await expect(call(http, 'VM.get_all', ['OpaqueRef:none'])).rejects.toBeInstanceOf(Failure);
  });
});

describe('a start that cannot succeed', () => {
  test('on a data folder in use says so and leaves the other running', async () => {
    const xenact = await up();
    const second = fail('up', '--data', data, '--http-port', '0', '--https-port', '0', '--hypervisor', 'sim');
    expect(second.status).toBe(1);
    expect(second.stderr).toMatch(/Another xenact already runs on the data folder .*--data/);
    expect((await fetch(`${xenact.http}/healthz`)).status).toBe(200);
  });

  test('on a busy port names the flag and leaves no process behind', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const busy = fail(
      'up',
      '--data',
      data,
      '--http-port',
      String(port),
      '--https-port',
      '0',
      '--mesh-port',
      '0',
      '--hypervisor',
      'sim',
    );
    server.close();
    expect(busy.status).toBe(1);
    expect(busy.stderr).toContain(`Port ${port} of 127.0.0.1 is taken`);
    expect(busy.stderr).toContain('--http-port');
    expect(processesOf(data)).toEqual([]);
  });

  test('with flags that mean nothing tells what would', () => {
    expect(fail('up', '--hypervisor', 'vmware').stderr).toContain('qemu, sim or unix:PATH');
    expect(fail('up', '--http-port', '99999').stderr).toContain('0 to 65535');
    expect(fail('up', '--colour', 'red').stderr).toContain('--help');
    expect(fail('down').stderr).toContain('no command "down"');
    expect(fail('up', '--help').stdout).toContain('--root-password PW');
    expect(password).not.toBe('');
  });
});
