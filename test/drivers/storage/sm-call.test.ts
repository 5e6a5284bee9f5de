// Goal: drivers of SMAPIv1 are called byte for byte as recorded, and what they print is understood as it is meant.
// Method: recorded calls are read and written anew, recorded answers are read; small programs show what a driver
// is started with and what becomes of one that hangs.

import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readXmlRpcCall } from '../../../src/codec/xmlrpc-reader.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';
import {
  answerOf,
  argumentBytesMax,
  runDriver,
  type SmCall,
  smArgument,
  smLimits,
} from '../../../src/drivers/storage/sm-call.ts';
import { smDrivers } from '../../../src/drivers/storage/sm-drivers.ts';
import { backendOf } from '../../../src/drivers/storage/sm-storage.ts';
import { StorageError } from '../../../src/drivers/storage/storage.ts';
import { silentLog } from '../../../src/std/log.ts';
import type { Struct } from '../../../src/std/value.ts';

interface Step {
  readonly step: string;
  readonly argument: string;
  readonly stdout: string;
}
const recorded = 'test/reference/smapiv1';
const steps: readonly Step[] = (
  await Promise.all(
    (await readdir(recorded)).map(async (name) => JSON.parse(await readFile(join(recorded, name), 'utf8'))),
  )
).flat();

const printed = (stdout: string, more: object = {}) => ({
  ...{ code: 0, signal: null, stdout, stderr: 'words' },
  ...more,
});
const about = { sr_ref: 'OpaqueRef:sr', vdi_ref: 'OpaqueRef:vdi' };
const refusalOf = (run: () => unknown): readonly string[] => {
  try {
    return ['no refusal', String(run())];
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return [error.code, ...error.params];
  }
};
const fault = (code: number): string =>
  `<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>${code}</int></value></member>` +
  '<member><name>faultString</name><value><string>why</string></value></member></struct></value></fault></methodResponse>';

describe('a recorded call', () => {
  it('is written as it was', () => {
    expect(steps.length).toBeGreaterThan(100);
    for (const { step, argument } of steps) {
      const [request] = readXmlRpcCall(argument).params as readonly Struct[];
      expect(smArgument(Object.fromEntries(request ?? []) as unknown as SmCall), step).toBe(argument);
    }
  });

  it('was answered with what is understood, or with a refusal that has its number', () => {
    const codes = new Set<string>();
    for (const { stdout } of steps) codes.add(refusalOf(() => answerOf(printed(stdout), about))[0] ?? '');
    expect([...codes].filter((code) => !/^(SR_BACKEND_FAILURE_\d+|no refusal)$/.test(code))).toEqual([
      'SR_OPERATION_NOT_SUPPORTED',
      'SR_NOT_EMPTY',
    ]);
  });
});

describe('the answer of a driver', () => {
  it('is a fault of the XenAPI where that has one, else one with the number', () => {
    const faults = [16, 24, 38, 39, 144, 46].map((code) =>
      refusalOf(() => answerOf(printed(fault(code)), about)),
    );
    expect(faults).toEqual([
      ['SR_DEVICE_IN_USE'],
      ['VDI_IN_USE'],
      ['SR_OPERATION_NOT_SUPPORTED', about.sr_ref],
      ['SR_NOT_EMPTY'],
      ['VDI_MISSING', about.sr_ref, about.vdi_ref],
      ['SR_BACKEND_FAILURE_46', '', 'why', 'words'],
    ]);
  });

  it('is a failure with what was printed where it is none', () => {
    expect(refusalOf(() => answerOf(printed('no XML'), about))).toEqual([
      'SR_BACKEND_FAILURE',
      expect.stringContaining('not XML-RPC'),
      'no XML',
      'words',
    ]);
    expect(refusalOf(() => answerOf(printed('', { code: 3 }), about))[1]).toBe('It ended with exit code 3');
    expect(refusalOf(() => answerOf(printed('', { code: null, signal: 'SIGKILL' }), about))[1]).toContain(
      'SIGKILL',
    );
  });

  it('to an attach says how a disk is reached, and cannot say what its bytes mean', () => {
    const ways = backendOf(
      new Map<string, any>([
        ['params', '/dev/sm/backend/sr/vdi'],
        ['params_nbd', 'nbd:unix:/run/nbd:exportname=vdi'],
        [
          'xenstore_data',
          new Map([
            ['vdi-uuid', 'vdi'],
            ['format', 'qcow2'],
          ]),
        ],
      ]),
    ) as Struct;
    expect(ways.get('implementations')).toMatchObject([
      [
        'XenDisk',
        new Map<string, any>([
          ['params', '/dev/sm/backend/sr/vdi'],
          ['extra', new Map([['vdi-uuid', 'vdi']])],
          ['backend_type', 'vbd3'],
        ]),
      ],
      ['BlockDevice', new Map([['path', '/dev/sm/backend/sr/vdi']])],
      ['Nbd', new Map([['uri', 'nbd:unix:/run/nbd:exportname=vdi']])],
    ]);
    expect(() => backendOf(new Map())).toThrow('params');
  });
});

describe('a driver', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sm-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const program = async (name: string, script: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  };
  const request = { host_ref: 'h', command: 'sr_scan', args: [], device_config: new Map<string, string>() };
  const answering = (value: string): string =>
    `printf '<methodResponse><params><param><value>%s</value></param></params></methodResponse>' "${value}"`;

  it('is started with the call as its one argument and an environment of two words', async () => {
    const path = await program(
      'show',
      answering('$# $(env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= | sort | tr "\\n" ,)'),
    );
    const by = { processes: nodeProcesses, limits: smLimits };
    expect(await runDriver(by, path, request, { debugInfo: 'test' })).toBe(
      '1 ORIGINATOR=SM,PATH=/sbin:/usr/sbin:/bin:/usr/bin,',
    );
  });

  it('that takes too long or is given up is ended, and one whose call is too long is not begun', async () => {
    const path = await program('hang', 'exec sleep 600');
    const limits = { ...smLimits, runMsMax: 50 };
    const late = runDriver({ processes: nodeProcesses, limits }, path, request, { debugInfo: 'test' });
    await expect(late).rejects.toMatchObject({ code: 'SR_BACKEND_FAILURE' });
    const signal = AbortSignal.abort(new Error('given up'));
    const by = { processes: nodeProcesses, limits: smLimits };
    await expect(runDriver(by, path, request, { debugInfo: 'test', signal })).rejects.toThrow('given up');
    const long = { ...request, args: ['x'.repeat(argumentBytesMax)] };
    await expect(runDriver(by, path, long, { debugInfo: 'test' })).rejects.toMatchObject({
      params: [expect.stringContaining('bytes'), '', ''],
    });
  });

  it('is found by its name, in lower case, if it is wanted and says who it is', async () => {
    const info = steps.find(({ step }) => step === '01-sr_get_driver_info')?.stdout ?? '';
    await writeFile(join(folder, 'info.xml'), info);
    await program('LVMoISCSISR', `cat ${folder}/info.xml`);
    await program('BrokenSR', 'exit 1');
    await program('UnwantedSR', `cat ${folder}/info.xml`);
    await writeFile(join(folder, 'PlainSR'), 'no program');
    const drivers = smDrivers({
      settings: { folder, wanted: new Set(['lvmoiscsi', 'broken', 'plain']) },
      disk: nodeDisk,
      processes: nodeProcesses,
      limits: smLimits,
      host: () => 'OpaqueRef:host',
      log: silentLog,
    });
    const [found, ...others] = await drivers.describe({ debugInfo: 'test' });
    expect(others).toEqual([]);
    expect(found).toMatchObject({ type: 'lvmoiscsi', driverFilename: join(folder, 'LVMoISCSISR') });
    expect(found?.features.get('VDI_CREATE')).toBe(1n);
    expect(await drivers.find('unwanted')).toBeUndefined();
    expect(drivers.isNamed('lvmoiscsi')).toBe(true);
  });
});
