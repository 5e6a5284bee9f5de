// Goal: host.call_plugin runs the named executable of one folder, with a session that ends with the call, and answers
// what it prints: a text, its own refusal, or that it failed.
// Method: small programs in a folder, called through a pool in process.

import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import host from '../../actors/host/behaviour.ts';
import { hostPluginsIn } from '../../src/drivers/host-plugins.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { refusal } from '../actors/storage-world.ts';
import { type World, world } from '../world.ts';

let folder: string;
let w: World;
const response = (members: string): string =>
  `<methodResponse><params><param><value><struct>${members}</struct></value></param></params></methodResponse>`;
const member = (name: string, value: string): string =>
  `<member><name>${name}</name><value>${value}</value></member>`;
const failure = `<array><data><value>OUT_OF_PAPER</value><value>tray 2</value></data></array>`;

const programs: Readonly<Record<string, string>> = {
  // The session of the call is the first OpaqueRef in it.
  echo: `session=$(printf %s "$1" | grep -o 'OpaqueRef:[0-9a-f-]*' | head -1)
name=$(printf %s "$1" | grep -o '<methodName>.*</methodName>' | sed 's/<[^>]*>//g')
printf '%s' '${response(member('Status', 'Success') + member('Value', 'NAME $# SESSION'))}' \\
  | sed "s/SESSION/$session/; s/NAME/$name/; s/\\$#/$#/"`,
  refuse: `printf '%s' '${response(member('Status', 'Failure') + member('ErrorDescription', failure))}'`,
  odd: `printf '%s' '${response(member('Status', 'Success') + member('Value', '<nil/>'))}'`,
  crash: 'echo out; echo err >&2; exit 3',
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plugins-'));
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, name), 0o755);
  }
  await writeFile(join(folder, 'text'), 'no program');
  const given = { disk: nodeDisk, processes: nodeProcesses };
  w = await world({ behaviours: [host], services: { hostPlugins: hostPluginsIn(given, folder) } });
});
afterAll(async () => {
  await w.close();
  await rm(folder, { recursive: true, force: true });
});

const run = (plugin: string, fn = 'main'): Promise<string> =>
  w.call('host.call_plugin', w.host, plugin, fn, new Map([['key', 'value']]));

test('a plugin gets its call as one argument, and a session that is gone afterwards', async () => {
  const [fn, count, session = ''] = (await run('echo', 'greet')).split(' ');
  expect([fn, count]).toEqual(['greet', '1']);
  expect(session).toMatch(/^OpaqueRef:[0-9a-f-]{36}$/);
  expect(w.services.localSessions.lent(session)).toBeUndefined();
});

test('what a plugin refuses with is the answer; one that ends otherwise has failed, with what it printed', async () => {
  expect(await refusal(run('refuse'))).toEqual(['OUT_OF_PAPER', 'tray 2']);
  expect(await refusal(run('crash'))).toEqual(['XENAPI_PLUGIN_FAILURE', 'non-zero exit', 'out\n', 'err\n']);
  expect((await refusal(run('odd'))).slice(0, 2)).toEqual([
    'XENAPI_PLUGIN_FAILURE',
    'It answered something other than a text',
  ]);
});

test('only executables of the folder itself are plugins', async () => {
  for (const plugin of ['nobody', 'text', '../echo', '/bin/true', '.', '']) {
    expect(await refusal(run(plugin))).toEqual(['XENAPI_MISSING_PLUGIN', plugin]);
  }
});
