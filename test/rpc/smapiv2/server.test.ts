// Goal: a hypervisor daemon gets a guest's disks over SMAPIv2, with the errors it knows.
// Method: the server on a Unix socket above the real layer and the shipped file plugin; calls as rpclib
// writes them.

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { readJsonRpcCall } from '../../../src/codec/jsonrpc-reader.ts';
import { readXmlRpcResponse } from '../../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../../src/codec/xmlrpc-writer.ts';
import type { Serving } from '../../../src/drivers/network.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { serveSmapiv2 } from '../../../src/rpc/smapiv2/server.ts';
import { silentLog } from '../../../src/std/log.ts';
import { member, structOf } from '../../../src/std/reader.ts';
import { isStruct, struct, type Value } from '../../../src/std/value.ts';
import { call, type Host, startHost } from '../../drivers/storage/host.ts';
import { type BuiltPlugins, buildPlugins } from '../../plugins/built-plugins.ts';
import { referenceText } from '../../reference.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const sr = '5d1c7a34-0000-4000-8000-00000000000a';
let built: BuiltPlugins;
let host: Host;
let serving: Serving;
let vdi: string;

beforeAll(async () => {
  built = await buildPlugins();
  host = await startHost([built.scripts]);
  const endpoint = { socketPath: join(host.folder, 'smapi') };
  serving = await serveSmapiv2({ network: nodeNetwork, endpoint, storage: host.storage, log: silentLog });
  const configuration = new Map([
    ['location', join(host.folder, 'sr')],
    ['format', 'raw'],
  ]);
  const newSr = { uuid: sr, name: 'n', description: 'd', configuration, sizeBytes: 0n };
  await host.storage.createSr('file', newSr, call);
  await host.storage.attachSr('file', sr, configuration, call);
  const volume = { name: 'disk', description: '', sizeBytes: 4096n, sharable: false, type: 'user' };
  vdi = (await host.storage.createVolume(sr, volume, call)).key;
});
afterAll(async () => {
  await serving.close();
  await host.remove();
  await built.remove();
});

const post = (body: string) =>
  nodeNetwork.post(serving.endpoint, '/', body, {
    contentType: 'text/xml',
    timeoutMs: 30_000,
    responseMax: 1024 * 1024,
  });
const ask = async (method: string, args: Readonly<Record<string, Value>>): Promise<Value> => {
  const { status, body } = await post(xmlCall(method, [struct({ dbg: 'test', ...args })]));
  expect(status).toBe(200);
  const response = readXmlRpcResponse(body);
  if (response.kind === 'success') return response.value;
  if (response.kind === 'failure') return { error: response.error } as never;
  throw new Error(`Not an envelope: ${body}`);
};
const use = (dp = 'vbd/3/xvda') => ({ sr, vdi, dp, vm: '3' });

describe('the storage server of a host', () => {
  it('hands a disk to a guest and takes it back', async () => {
    const backend = structOf(await ask('VDI.attach3', { ...use(), read_write: true }));
    const path = expect.stringMatching(/\.raw$/);
    expect(backend.get('implementations')).toEqual([
      [
        'XenDisk',
        new Map<string, unknown>([
          ['backend_type', 'vbd'],
          ['params', path],
          ['extra', new Map([['format', 'raw']])],
        ]),
      ],
      ['File', new Map([['path', path]])],
    ]);
    expect(await ask('VDI.activate3', use())).toBe(null);
    expect(await ask('DP.attach_info', use())).toEqual(backend);
    const stat = await ask('DP.stat_vdi', { sr, vdi, unit: null });
    expect(member(stat, 'superstate')).toEqual(['Activated', 'RW']);
    expect(member(stat, 'dps')).toEqual(new Map([['vbd/3/xvda', ['Activated', 'RW']]]));
    expect(host.storage.datapaths(sr, vdi)).toEqual(['vbd/3/xvda']);
    expect(await ask('VDI.deactivate', use())).toBe(null);
    expect(await ask('VDI.detach', use())).toBe(null);
    expect(await ask('DP.destroy', { dp: 'vbd/3/xvda', allow_leak: false })).toBe(null);
    expect(member(await ask('DP.stat_vdi', { sr, vdi, unit: null }), 'superstate')).toBe('Detached');
  });

  it('ends a datapath in one call, on every disk or on one', async () => {
    for (const args of [
      { dp: 'a', allow_leak: true },
      { ...use('a'), allow_leak: false },
    ]) {
      await ask('VDI.attach3', { ...use('a'), read_write: false });
      await ask('VDI.activate_readonly', use('a'));
      expect(await ask('sr' in args ? 'DP.destroy2' : 'DP.destroy', args)).toBe(null);
      expect(host.storage.datapaths(sr, vdi)).toEqual([]);
    }
    expect(await ask('DP.create', { id: 'a' })).toBe('a');
  });

  it('tells which SRs and disks there are', async () => {
    expect(await ask('SR.list', {})).toEqual([sr]);
    const [list, info] = (await ask('SR.scan2', { sr })) as [Value[], Value];
    expect(list).toEqual([await ask('VDI.stat', { sr, vdi })]);
    expect(await ask('SR.scan', { sr })).toEqual(list);
    expect(info).toEqual(
      new Map([...structOf(await ask('SR.stat', { sr })), ['free_space', expect.anything()]]),
    );
    expect(member(info, 'health')).toBe('Healthy');
    expect(member(list[0] ?? null, 'virtual_size')).toBe('4096');
    expect(await ask('VDI.get_by_name', { sr, name: vdi })).toEqual(list[0]);
    expect(member(await ask('Query.query', { unit: null }), 'smapi_version')).toBe('SMAPIv2');
  });

  it('takes the calls of hosts of before, for itself', async () => {
    const { vm: _, ...itself } = use('old');
    await ask('VDI.attach2', { ...itself, read_write: true });
    expect(await ask('VDI.activate', itself)).toBe(null);
    const stat = await ask('DP.stat_vdi', { sr, vdi, unit: null });
    expect(member(stat, 'dps')).toEqual(new Map([['old', ['Activated', 'RW']]]));
    expect(await ask('DP.diagnostics', {})).toContain(`Volume ${vdi} of SR ${sr} is Activated RW for old`);
    expect(await ask('DP.destroy', { dp: 'old', allow_leak: false })).toBe(null);
  });

  it('brackets a power cycle', async () => {
    expect(await ask('VDI.epoch_begin', { sr, vdi, vm: '3', persistent: true })).toBe(null);
    expect(await ask('VDI.epoch_end', { sr, vdi, vm: '3' })).toBe(null);
  });

  it.each<[string, Readonly<Record<string, Value>>, Value]>([
    ['VDI.attach3', { ...use(), sr: 'none', vdi: 'x', read_write: true }, ['Sr_not_attached', 'none']],
    ['SR.stat', { sr: 'none' }, ['Sr_not_attached', 'none']],
    ['VDI.stat', { sr, vdi: 'none' }, ['Vdi_does_not_exist', 'none']],
    ['VDI.get_by_name', { sr, name: 'none' }, ['Vdi_does_not_exist', 'none']],
    ['VDI.create', { sr, vdi_info: null }, ['Unimplemented', 'VDI.create']],
    [
      'VDI.activate3',
      { sr, vdi: 'x', dp: 'd', vm: '1' },
      ['Illegal_transition', ['Detached', ['Activated', 'RO']]],
    ],
    ['VDI.similar_content', { sr, vdi: 'x' }, ['Unimplemented', 'VDI.similar_content']],
    ['VDI.attach3', { sr }, ['Internal_error', 'Expected a member "vdi"']],
    ['constructor', {}, ['Unimplemented', 'constructor']],
  ])('answers %s of %j with its error', async (method, args, error) => {
    expect(await ask(method, args)).toEqual({ error });
  });

  it('refuses a writer beside a reader as an illegal transition', async () => {
    await ask('VDI.attach3', { ...use('reader'), read_write: false });
    expect(await ask('VDI.attach3', { ...use('writer'), read_write: true })).toEqual({
      error: [
        'Illegal_transition',
        [
          ['Attached', 'RO'],
          ['Attached', 'RW'],
        ],
      ],
    });
    await ask('VDI.detach', use('reader'));
  });

  it('answers 400 to what is not a call, and goes on', async () => {
    expect((await post('<methodCall>')).status).toBe(400);
    expect(await ask('SR.list', {})).toEqual([sr]);
  });
});

describe('calls as rpclib prints them', () => {
  it('name their arguments as this server reads them', async () => {
    const text = referenceText('xenops_storage_json.txt');
    const requests = [...text.matchAll(/^### request ((?:VDI|DP|SR)\.\w+)\n(.+)$/gm)];
    expect(requests.length).toBeGreaterThan(8);
    for (const [, method = '', line = ''] of requests) {
      const [args] = readJsonRpcCall(line).params;
      const answer = (await ask(method, Object.fromEntries(structOf(args ?? null)))) as { error?: Value };
      // Their SR is this one, their disk is not; nothing may fail for an argument that is not found.
      expect(JSON.stringify(isStruct(answer as Value) ? '' : answer)).not.toContain('Expected');
    }
  });
});
