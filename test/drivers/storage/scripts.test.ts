// Goal: no plugin, however bad, gets more than a clear error; real plugins of others are understood.
// Method: small shell scripts as plugins, and recorded conversations played back by such scripts.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readJson } from '../../../src/codec/jsonrpc-reader.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';
import { featuresOf } from '../../../src/drivers/storage/script-plugins.ts';
import {
  readBackend,
  readNothing,
  readPlugin,
  readProbed,
  readSrStat,
  readText,
  readTextMap,
  readVolume,
  readVolumes,
} from '../../../src/drivers/storage/script-values.ts';
import { findScripts, type ScriptFolder, scriptLimits } from '../../../src/drivers/storage/scripts.ts';
import { structOf } from '../../../src/std/reader.ts';
import type { Value } from '../../../src/std/value.ts';
import { referencePath } from '../../reference.ts';
import { call, type Host, startHost } from './host.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'scripts-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const write = async (method: string, body: string, plugin = 'volume/org.xen.xapi.storage.test') => {
  await mkdir(join(root, plugin), { recursive: true });
  await writeFile(join(root, plugin, method), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
};
const find = async (limits = scriptLimits): Promise<ScriptFolder> => {
  const { volume } = await findScripts({ disk: nodeDisk, processes: nodeProcesses, limits }, [root]);
  return volume.get('org.xen.xapi.storage.test')!;
};
const ask = async (method: string, limits = scriptLimits) =>
  (await find(limits)).run(method, {}, call, readText).catch((error) => error);

describe('a script', () => {
  it('gets its arguments as JSON on standard input and is found whatever the case of its name', async () => {
    await write('sr.STAT', 'test "$1" = --json || exit 3; printf "[%s]" "$(cat)"');
    const args = { sr: 'x', size: 9_007_199_254_740_993n, keys: new Map([['__proto__', 'y']]) };
    const value = await (await find()).run('SR.stat', args, call, (answer: Value) => answer);
    expect(value).toEqual([new Map<string, Value>([['dbg', 'test'], ...Object.entries(args)])]);
  });

  it.each([
    ['prints rubbish', 'echo "Traceback (most recent call last):"', ['Its answer is not valid', 'Traceback']],
    ['prints nothing', '', ['Its answer is not valid', 'end of the text']],
    ['answers something else', 'echo 7', ['Expected the text to be a string, got 7']],
    ['fails without an error object', 'echo oops; echo why >&2; exit 1', ['exit code 1', 'oops', 'why']],
    ['kills itself', 'kill -9 $$', ['It was ended by SIGKILL']],
  ])('that %s is SCRIPT_FAILED with what it said', async (_, body, words) => {
    await write('SR.attach', body);
    const error = await ask('SR.attach');
    expect(error.code).toBe('SCRIPT_FAILED');
    expect(error.params[0]).toBe(join(root, 'volume/org.xen.xapi.storage.test/SR.attach'));
    for (const word of words) expect(error.params.join(' ')).toContain(word);
  });

  it('that fails with an error object gives code and parameters as they are', async () => {
    await write('SR.attach', `echo '{"code":"SR_BACKEND_FAILURE","params":["a",7],"backtrace":{}}'; exit 1`);
    expect(await ask('SR.attach')).toMatchObject({ code: 'SR_BACKEND_FAILURE', params: ['a', '7'] });
  });

  it('that hangs is killed with its children at the limit', async () => {
    await write('SR.attach', 'sleep 1000 & wait');
    const error = await ask('SR.attach', { ...scriptLimits, runMsMax: 200 });
    expect(error).toMatchObject({ code: 'SCRIPT_FAILED' });
    expect(error.params[1]).toContain('200 ms');
  });

  it('that hangs is killed when its call is cancelled', async () => {
    await write('SR.attach', `touch "${root}/started"; sleep 1000`);
    const abort = new AbortController();
    const running = (await find()).run('SR.attach', {}, { ...call, signal: abort.signal }, readText);
    const started = async (): Promise<void> => {
      if (!existsSync(join(root, 'started'))) return new Promise<void>((r) => setImmediate(r)).then(started);
    };
    await started();
    abort.abort(new Error('cancelled by the user'));
    await expect(running).rejects.toThrow('cancelled by the user');
  });

  it('that prints 100 MB is killed at the limit', async () => {
    await write('SR.attach', 'head -c 100000000 /dev/zero');
    const error = await ask('SR.attach');
    expect(error).toMatchObject({ code: 'SCRIPT_FAILED' });
    expect(error.params[1]).toContain(`${scriptLimits.outputBytesMax} bytes`);
  });

  it('that is missing or may not be executed is SCRIPT_MISSING', async () => {
    await write('SR.attach', 'echo null');
    await writeFile(join(root, 'volume/org.xen.xapi.storage.test/SR.ls'), 'echo', { mode: 0o644 });
    for (const method of ['SR.stat', 'SR.ls'])
      expect(await ask(method)).toMatchObject({ code: 'SCRIPT_MISSING' });
  });

  it('of the first root counts where two roots have a plugin', async () => {
    await write('SR.attach', 'echo \'"first"\'');
    await write('SR.attach', 'echo \'"second"\'', 'other/volume/org.xen.xapi.storage.test');
    const given = { disk: nodeDisk, processes: nodeProcesses, limits: scriptLimits };
    const { volume } = await findScripts(given, [join(root, 'none'), root, join(root, 'other')]);
    const plugin = volume.get('org.xen.xapi.storage.test');
    expect(await plugin?.run('SR.attach', {}, call, readText)).toBe('first');
  });
});

describe('an answer', () => {
  const volume = {
    key: 'k',
    name: 'n',
    description: '',
    read_write: true,
    virtual_size: 1n,
    physical_utilisation: 0n,
  };
  const value = (fields: object): Value => new Map(Object.entries(fields));

  it.each([
    ['an empty key', { key: '' }, /key of a volume/],
    ['a key that is too long', { key: 'k'.repeat(5000) }, /at most 4096/],
    ['a negative size', { virtual_size: -1n }, /not to be negative/],
    ['a size that is text', { physical_utilisation: 'big' }, /to be an integer/],
    ['keys that are a list', { keys: ['a'] }, /to be a struct/],
    ['a key whose value is a number', { keys: new Map([['a', 1n]]) }, /keys.a to be a string/],
    ['too many URIs', { uri: Array(1001).fill('x') }, /at most 1000/],
    ['no name', { name: undefined }, /to be a string|member "name"/],
  ])('with %s is refused', (_, fields, why) => {
    expect(() => readVolume(value({ ...volume, ...fields }))).toThrow(why);
  });

  it('with too many volumes is refused', () => {
    expect(() => readVolumes(Array(20_001).fill(value(volume)))).toThrow(/at most 20000 volumes/);
  });

  it('with an unknown health or API version is refused', () => {
    const stat = { name: '', description: '', free_space: 0n, total_space: 0n, clustered: false };
    expect(() => readSrStat(value({ ...stat, health: ['Ill', ''] }))).toThrow(/health/);
    expect(readSrStat(value({ ...stat, health: ['unreachable', ''] })).health).toBe('Unreachable');
    const about = { name: '', description: '', vendor: '', copyright: '', version: '' };
    expect(() => readPlugin(value({ ...about, required_api_version: '6.0' }))).toThrow(
      /required_api_version/,
    );
  });
});

describe('features', () => {
  it('are those claimed, those implied by scripts and those of every plugin', () => {
    const scripts = new Set(['Volume.clone', 'SR.ls']);
    const features = featuresOf(['VDI_DESTROY', 'A/3', 'B/x', 'A/4'], (script) => scripts.has(script));
    expect(Object.fromEntries(features)).toEqual({
      VDI_DELETE: 1n,
      A: 3n,
      B: 1n,
      SR_SCAN: 1n,
      VDI_CLONE: 1n,
      VDI_ATTACH: 1n,
      VDI_DETACH: 1n,
      VDI_ACTIVATE: 1n,
      VDI_DEACTIVATE: 1n,
      VDI_INTRODUCE: 1n,
      VDI_RESET_ON_BOOT: 2n,
    });
  });
});

const samples = referencePath('smapiv3');
const readers: Readonly<Record<string, (value: Value) => unknown>> = {
  'Plugin.Query': readPlugin,
  'SR.probe': readProbed,
  'SR.create': readTextMap,
  'SR.attach': readText,
  'SR.stat': readSrStat,
  'SR.ls': readVolumes,
  'Volume.create': readVolume,
  'Volume.stat': readVolume,
  'Volume.snapshot': readVolume,
  'Volume.clone': readVolume,
  'Datapath.attach': readBackend,
  'Plugin.diagnostics': readText,
};

describe('a recorded conversation', () => {
  const recorded = readdirSync(samples, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /\/\d+-/.test(path),
  );

  it.each(recorded)('is understood: %s', async (path) => {
    const sample = JSON.parse(readFileSync(join(samples, path), 'utf8'));
    const method = sample.argv[0].split('/').pop() as string;
    await writeFile(join(root, 'stdout'), sample.stdout);
    await write(method, `cat "${root}/stdout"; exit ${sample.exit}`);
    const args = Object.fromEntries(structOf(readJson(JSON.stringify(sample.stdin))));
    const result = (await find()).run(method, args, call, readers[method] ?? readNothing);
    if (sample.exit === 0) await result;
    else await expect(result).rejects.toMatchObject({ code: sample.parsed.code });
  });
});

describe('a scan', () => {
  let host: Host;
  afterEach(() => host.remove());

  it('hides throw-away clones, and refuses an SR that is not healthy', async () => {
    const stat = (health: string) =>
      `{"sr":"s","name":"n","description":"d","free_space":1,"total_space":2,"clustered":false,"health":["${health}",""]}`;
    const volume = (key: string, keys: string) =>
      `{"key":"${key}","name":"n","description":"","read_write":true,"virtual_size":1,"physical_utilisation":1,"uri":[],"keys":${keys}}`;
    await write('SR.attach', `echo '"s"'`);
    await write('SR.stat', `cat "${root}/stat"`);
    await write('SR.ls', `echo '[${volume('a', '{"clone-on-boot":"b"}')},${volume('b', '{}')}]'`);
    await writeFile(join(root, 'stat'), stat('Healthy'));
    host = await startHost([root]);
    await host.storage.attachSr('test', 'sr', new Map(), call);
    const { volumes } = await host.storage.scanSr('sr', call);
    expect(volumes.map(({ key }) => key)).toEqual(['a']);
    await writeFile(join(root, 'stat'), stat('Recovering'));
    await expect(host.storage.scanSr('sr', call)).rejects.toMatchObject({
      code: 'SR_UNHEALTHY',
      params: ['sr', 'Recovering', expect.stringContaining('scan again')],
    });
  });
});

describe('a disk that is not persistent', () => {
  let host: Host;
  afterEach(() => host.remove());

  it.each([
    ['is left to a datapath that says it can', '["NONPERSISTENT"]', ['Datapath.open', 'Datapath.close']],
    ['is a throw-away clone where it does not', '[]', ['Volume.clone', 'Volume.set', 'Volume.destroy']],
  ])('%s', async (_, features, expected) => {
    const noted = (method: string, answer: string) =>
      `{ printf '${method} '; cat; echo; } >> "${root}/calls"; ${answer}`;
    const about = '"name":"n","description":"","read_write":true,"virtual_size":1,"physical_utilisation":1';
    const volume = (key: string, keys: string) =>
      `{"key":"${key}",${about},"uri":["none:x","odd:y"],"keys":${keys}}`;
    await write('SR.attach', `echo '"s"'`);
    await write(
      'SR.stat',
      `echo '{"sr":"s",${about},"free_space":1,"total_space":2,"clustered":false,"health":["Healthy",""]}'`,
    );
    await writeFile(join(root, 'keys'), '{}');
    await write('Volume.stat', `printf '${volume('k', '%s')}' "$(cat "${root}/keys")"`);
    await write('Volume.clone', noted('Volume.clone', `echo '${volume('c', '{}')}'`));
    const set = `echo '{"clone-on-boot":"c"}' > "${root}/keys"; echo null`;
    await write('Volume.set', noted('Volume.set', set));
    await write('Volume.destroy', noted('Volume.destroy', 'echo null'));
    await write('Volume.unset', 'echo null');
    const query = `{"name":"n","description":"","vendor":"","copyright":"","version":"1","required_api_version":"5.0","features":${features},"configuration":{},"required_cluster_stack":[]}`;
    await write('Plugin.query', `echo '${query}'`, 'datapath/odd');
    for (const method of ['Datapath.open', 'Datapath.close'])
      await write(method, noted(method, 'echo null'), 'datapath/odd');

    host = await startHost([root]);
    await host.storage.attachSr('test', 'sr', new Map(), call);
    await host.storage.beginEpoch({ sr: 'sr', key: 'k' }, false, call);
    await host.storage.endEpoch({ sr: 'sr', key: 'k' }, call);
    const calls = readFileSync(join(root, 'calls'), 'utf8').trim().split('\n');
    expect(calls.map((line) => line.split(' ')[0])).toEqual(expected);
    if (features === '[]') return;
    const told = calls.map((line) => JSON.parse(line.slice(line.indexOf(' '))));
    expect(told).toEqual([
      { dbg: 'test', uri: 'odd:y', persistent: false },
      { dbg: 'test', uri: 'odd:y' },
    ]);
  });
});

/** A plugin that notes how it is asked and answers as one did that was recorded. */
const replayed = async (name: string, kind: 'volume' | 'datapath'): Promise<Map<string, unknown>> => {
  const asked = new Map<string, unknown>();
  for (const file of readdirSync(join(samples, name))) {
    const { argv, stdin, stdout, exit } = JSON.parse(readFileSync(join(samples, name, file), 'utf8'));
    const method = argv[0].split('/').pop() as string;
    // Of several calls of a method the first is the one that succeeds.
    if (asked.has(method)) continue;
    asked.set(method, stdin);
    await writeFile(join(root, `${name} ${method}`), stdout);
    const note = `{ printf '${method} '; cat; echo; } >> "${root}/calls"`;
    await write(method, `${note}\ncat "${root}/${name} ${method}"; exit ${exit}`, `${kind}/${name}`);
  }
  return asked;
};

describe('a plugin of others', () => {
  let host: Host;
  afterEach(() => host.remove());

  it('is asked from its first call to its last as it was recorded', async () => {
    const recorded = new Map([
      ...(await replayed('org.xen.xapi.storage.simple-file', 'volume')),
      ...(await replayed('blkback', 'datapath')),
    ]);
    host = await startHost([root]);
    const { storage } = host;
    const by = { debugInfo: 'OpaqueRef:dbg' };
    const uuid = '5d1c7a34-0000-4000-8000-00000000000a';
    const about = { name: 'sr name', description: 'sr description', sizeBytes: 0n };
    const given = new Map([['path', '/srv/smv3']]);
    const configuration = await storage.createSr('simple-file', { uuid, configuration: given, ...about }, by);
    await storage.attachSr('simple-file', uuid, configuration, by);
    const disk = {
      name: 'vol',
      description: 'a volume',
      sizeBytes: 16_777_216n,
      sharable: false,
      type: 'user',
    };
    const { key } = await storage.createVolume(uuid, disk, by);
    await storage.setVolumeName(uuid, key, 'new', by);
    await storage.setVolumeDescription(uuid, key, 'newd', by);
    await storage.resizeVolume(uuid, key, 33_554_432n, by);
    const use = { sr: uuid, key, datapath: 'dp1', vm: '0' };
    await storage.datapathsOf.attach(use, 'RW', by);
    await storage.datapathsOf.activate(use, by);
    await storage.datapathsOf.destroy('dp1', false, by);
    await storage.destroyVolume(uuid, key, by);
    await storage.scanSr(uuid, by);
    await storage.detachSr(uuid, by);
    const calls = readFileSync(join(root, 'calls'), 'utf8').trim().split('\n');
    const told = calls.map((line) => [line.split(' ')[0] ?? '', line.slice(line.indexOf(' '))] as const);
    const methods = new Set(told.map(([method]) => method));
    expect(methods.size).toBeGreaterThan(12);
    for (const [method, text] of told) {
      const then = recorded.get(method) as Record<string, unknown>;
      // Only which volume it was is said by what the plugin has made, and where it is by what it has told.
      const same = {
        ...then,
        ...('key' in then && { key }),
        ...('uri' in then && { uri: expect.any(String) }),
      };
      expect(JSON.parse(text), method).toMatchObject(same);
    }
  });

  it('may be exchanged for a newer one while it serves, which lets go of what the older one attached', async () => {
    const noted = (version: string, answer: string) =>
      `echo "${version} $(basename "$0")" >> "${root}/calls"; ${answer}`;
    const volume =
      '{"key":"k","name":"n","description":"","read_write":true,"virtual_size":1,"physical_utilisation":1,"uri":["odd:y"],"keys":{}}';
    const stat =
      '{"sr":"s","name":"n","description":"","free_space":1,"total_space":2,"clustered":false,"health":["Healthy",""]}';
    const install = async (version: string): Promise<void> => {
      for (const kind of ['volume', 'datapath']) await rm(join(root, kind), { recursive: true, force: true });
      // The newer one spells its scripts in another way.
      const spelt = (method: string): string => (version === 'old' ? method : method.toLowerCase());
      await write(spelt('SR.attach'), noted(version, `echo '"s"'`));
      await write(spelt('SR.stat'), noted(version, `echo '${stat}'`));
      await write(spelt('SR.detach'), noted(version, 'echo null'));
      await write(spelt('Volume.stat'), noted(version, `echo '${volume}'`));
      for (const method of ['activate', 'deactivate', 'detach'])
        await write(spelt(`Datapath.${method}`), noted(version, 'echo null'), 'datapath/odd');
      const place = `echo '{"implementations":[["File",{"path":"/x"}]]}'`;
      await write(spelt('Datapath.attach'), noted(version, place), 'datapath/odd');
    };
    await install('old');
    host = await startHost([root]);
    const { storage } = host;
    await storage.attachSr('test', 'sr', new Map(), call);
    const use = { sr: 'sr', key: 'k', datapath: 'vbd/1/xvda', vm: '1' };
    const place = await storage.datapathsOf.attach(use, 'RW', call);
    await storage.datapathsOf.activate(use, call);
    await install('new');
    // As when the folder is seen to have changed.
    await storage.plugins();
    expect(await storage.datapathsOf.attach({ ...use, datapath: 'another' }, 'RW', call)).toEqual(place);
    await storage.detachSr('sr', call);
    const calls = readFileSync(join(root, 'calls'), 'utf8').trim().split('\n');
    const after = calls.slice(calls.findIndex((line) => line.startsWith('new')));
    expect(after).toEqual(['new datapath.deactivate', 'new datapath.detach', 'new sr.detach']);
  });

  it('that is stuck holds up neither its other repositories nor other plugins', async () => {
    const stat =
      '{"sr":"s","name":"n","description":"","free_space":1,"total_space":2,"clustered":false,"health":["Healthy",""]}';
    for (const type of ['quick', 'stuck']) {
      const plugin = `volume/org.xen.xapi.storage.${type}`;
      // The name that it goes by from then on is that of its configuration.
      await write('SR.attach', `sed 's/.*"name":\\("[a-z0-9]*"\\).*/\\1/'`, plugin);
      await write('SR.stat', `echo '${stat}'`, plugin);
      await write('SR.detach', 'echo null', plugin);
      await write('SR.ls', `grep -q '"sr":"stuck' && exec sleep 600; echo '[]'`, plugin);
    }
    host = await startHost([root]);
    const { storage } = host;
    const attach = (type: string, sr: string) => storage.attachSr(type, sr, new Map([['name', sr]]), call);
    const stuck = Array.from({ length: 8 }, (_, n) => `stuck${n}`);
    await Promise.all([
      ...stuck.map((sr) => attach('stuck', sr)),
      attach('stuck', 'free'),
      attach('quick', 'other'),
    ]);
    const givenUp = new AbortController();
    const scans = stuck.map((sr) =>
      storage.scanSr(sr, { ...call, signal: givenUp.signal }).then(
        () => 'scanned',
        () => 'given up',
      ),
    );
    for (const sr of ['free', 'other']) expect((await storage.scanSr(sr, call)).volumes).toEqual([]);
    await Promise.all(['free', 'other'].map((sr) => storage.detachSr(sr, call)));
    givenUp.abort();
    expect(new Set(await Promise.all(scans))).toEqual(new Set(['given up']));
  });
});
