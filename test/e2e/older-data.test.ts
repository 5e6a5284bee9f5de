// Goal: who upgrades keeps everything: a data folder of an older version is served with all that it held.
// Method: a folder that each version left behind is unpacked where it was made, and started by the built program.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { referencePath } from '../reference.ts';
import { call, type Session } from './client.ts';
import { type Row, rowsOf } from './lab.ts';
import { clean, start, type Xenact } from './xenact.ts';

describe.each(['0.1.0', '0.2.0'])('a folder of version %s', (version) => {
  /** The folder stands in its own rows, as the place of its disks. */
  const folder = `/tmp/xenact-made-by-${version}`;
  let xenact: Xenact;
  let session: Session;

  const named = async (cls: string, name: string): Promise<readonly [string, Row]> => {
    const found = [...(await rowsOf(session, cls))].find(([, row]) => row.get('name_label') === name);
    if (found === undefined) throw new Error(`No ${cls} is called ${name}`);
    return found;
  };

  beforeAll(async () => {
    if (existsSync(folder)) rmSync(folder, { recursive: true });
    const unpacked = spawnSync('tar', ['-xzf', referencePath(`data-folder-${version}.tar.gz`), '-C', '/tmp']);
    expect(String(unpacked.stderr)).toBe('');
    xenact = await start(folder, ['--hypervisor', 'sim', '--root-password', 'pw-Root-1']);
    const ref = (await call(xenact.http, 'session.login_with_password', ['root', 'pw-Root-1'])) as string;
    session = { ref, call: (method, ...params) => call(xenact.http, method, [ref, ...params]) };
  }, 120_000);
  afterAll(async () => {
    await xenact?.end('SIGKILL');
    await clean(folder);
  });

  test('has its pool, VMs, drives, interfaces and snapshots', async () => {
    const [, pool] = [...(await rowsOf(session, 'pool'))][0] as [string, Row];
    expect(pool.get('name_description')).toBe(`made by ${version}`);
    const [ref, vm] = await named('VM', 'kept');
    expect(vm.get('name_description')).toBe('a VM of an older version');
    expect(vm.get('tags')).toEqual(['old']);
    expect((vm.get('other_config') as Row).get('constructor')).toBe('a key like any other');
    const [, snapshot] = await named('VM', 'kept snapshot');
    expect([snapshot.get('is_a_snapshot'), snapshot.get('snapshot_of')]).toEqual([true, ref]);
    const vifs = [...(await rowsOf(session, 'VIF')).values()].filter((vif) => vif.get('VM') === ref);
    expect(vifs.map((vif) => vif.get('MAC'))).toEqual(['aa:bb:cc:00:00:01']);
  });

  test('has the guest that was running, and the bytes of all disks', async () => {
    const [guest, running] = await named('VM', 'running');
    expect(running.get('power_state')).toBe('Running');
    await session.call('VM.hard_shutdown', guest);
    const [, sr] = await named('SR', 'Local storage');
    expect(sr.get('VDIs')).not.toEqual([]);
    const disks = [...(await rowsOf(session, 'VDI'))].filter(
      ([, row]) => row.get('name_label') === 'kept disk',
    );
    expect(disks.length).toBe(3);
    for (const [vdi] of disks) {
      const answer = await fetch(`${xenact.http}/export_raw_vdi?vdi=${vdi}&session_id=${session.ref}`);
      const bytes = Buffer.from(await answer.arrayBuffer());
      expect(answer.ok ? '' : bytes.toString()).toBe('');
      expect(bytes.length).toBe(1 << 20);
      expect(bytes.subarray(0, 22).toString()).toBe('kept by every version\n');
    }
  });

  test('has its secrets, subjects and messages', async () => {
    const secrets = [...(await rowsOf(session, 'secret')).values()].map((row) => row.get('value'));
    expect(secrets).toContain('kept secret');
    const subjects = [...(await rowsOf(session, 'subject')).values()];
    expect(subjects.map((row) => row.get('subject_identifier'))).toContain('S-1-5-kept');
  });

  test('goes on: what it had can be changed and started', async () => {
    const [vm] = await named('VM', 'kept');
    await session.call('VM.start', vm, false, false);
    expect(await session.call('VM.get_power_state', vm)).toBe('Running');
    await session.call('VM.hard_shutdown', vm);
  });
});
