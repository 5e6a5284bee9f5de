// Goal: a start that cannot succeed ends soon, in one sentence that tells what to do instead, and leaves
//   no process behind.
// Method: the built program on folders, addresses and daemons that are not there or not usable.
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clean, newDataFolder, processesOf, program } from './xenact.ts';

let folder: string;
beforeEach(async () => {
  folder = await newDataFolder();
});
afterEach(() => clean(folder));

const up = (data: string, ...flags: readonly string[]) =>
  spawnSync(
    process.execPath,
    [program, 'up', '--data', data, '--http-port', '0', '--https-port', '0', '--mesh-port', '0', ...flags],
    { encoding: 'utf8', timeout: 40_000 },
  );

/** One sentence for people, not the inside of the program. */
const saysOnly = ({ status, stderr }: ReturnType<typeof up>, said: RegExp): void => {
  expect(stderr).toMatch(said);
  expect(stderr).toMatch(/^xenact: /);
  expect(stderr).not.toMatch(/^ +at /m);
  expect(status).toBe(1);
  expect(processesOf(folder)).toEqual([]);
};

test('where the data folder is a file', async () => {
  await writeFile(join(folder, 'file'), '');
  saysOnly(up(join(folder, 'file')), /data folder .*cannot be used.*--data/);
});

test('where no data folder can be made, as below /proc', () => {
  saysOnly(up('/proc/xenact'), /data folder .*cannot be used.*--data/);
});

test('where the address is not of this machine', () => {
  saysOnly(up(folder, '--hypervisor', 'sim', '--listen', '192.0.2.1'), /192\.0\.2\.1.*--listen/);
});

test('where no xenopsd answers', () => {
  saysOnly(up(folder, '--hypervisor', `unix:${folder}/nobody`), /no xenopsd.*nobody.*--hypervisor/);
});

test('where the daemon does not take its configuration', async () => {
  const config = join(folder, 'sim.json');
  await writeFile(config, '{"faults": 1}');
  saysOnly(up(folder, '--hypervisor', 'sim', '--sim-config', config), /does not start; see .*xenopsd\.log/);
});

test('where the file of credentials is broken', async () => {
  await writeFile(join(folder, 'credentials.json'), '{');
  saysOnly(up(folder, '--hypervisor', 'sim'), /credentials\.json is not JSON.*backup/);
});
