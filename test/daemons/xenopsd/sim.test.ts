// Goal: the simulator does what its configuration says, and its guests have consoles that answer.
// Method: configuration texts read; a daemon with guests over a Unix socket; the console as a raw stream.
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { readSimConfig, takeFault } from '../../../src/daemons/xenopsd/sim-config.ts';
import { placeOf } from '../../../src/daemons/xenopsd/storage.ts';
import { XenopsError } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { struct, type Value } from '../../../src/std/value.ts';
import { connectClient, metadataOf, startDaemon, useBench, vmNamed, work } from './harness.ts';

const bench = useBench();

describe('configuration', () => {
  test('delays and faults are read', () => {
    const config = readSimConfig(
      '{"delaysMs": {"start": 5}, "faults": [{"operation": "start", "vm": "a", "times": 2, "error": ["Bad_power_state", ["Running", "Halted"]]}, {"operation": "pause"}]}',
    );
    expect(config).toEqual({
      delaysMs: { start: 5 },
      faults: [
        {
          operation: 'start',
          vm: 'a',
          times: 2,
          error: new XenopsError('Bad_power_state', ['Running', 'Halted']),
        },
        { operation: 'pause', times: 1 },
      ],
    });
  });

  test('a mistake in it is named', () => {
    expect(() => readSimConfig('{"delaysMs": {"strat": 5}}')).toThrow('got "strat"');
    expect(() => readSimConfig('{"faults": [{}]}')).toThrow('operation');
    expect(() => readSimConfig('{"faults": 3}')).toThrow('Expected faults to be a list');
  });

  test('a fault happens as often as it says, to the VM that it says', () => {
    const faults = [{ operation: 'start', vm: 'a', times: 2 }] as Parameters<typeof takeFault>[0];
    expect(takeFault(faults, 'start', 'b')).toBeUndefined();
    expect(takeFault(faults, 'pause', 'a')).toBeUndefined();
    expect(takeFault(faults, 'start', 'a')).toBeDefined();
    expect(takeFault(faults, 'start', 'a')).toBeDefined();
    expect(takeFault(faults, 'start', 'a')).toBeUndefined();
  });
});

test('a guest’s console says whose it is, sends back what is typed and goes away with the guest', async () => {
  await startDaemon(bench());
  const client = connectClient(bench());
  await client.importMetadata(metadataOf(vmNamed('a')), 'test');
  await client.start('a', false, work());
  const [console] = (await client.stat('a'))?.consoles ?? [];
  expect(console?.protocol).toBe('Vt100');
  const stream = await nodeNetwork.connect({ socketPath: console?.path ?? '' }, { timeoutMs: 5_000 });
  stream.write('hello');
  let heard = '';
  while (!heard.endsWith('hello')) heard += String((await once(stream, 'data'))[0]);
  expect(heard).toBe('simulated guest guest a\r\nhello');
  const closed = once(stream, 'close');
  await client.shutdown('a', undefined, work());
  await closed;
});

test('of many guests the first ones have consoles and the others none', async () => {
  await startDaemon(bench());
  const client = connectClient(bench());
  const vms = Array.from({ length: 70 }, (_, index) => `vm${index}`);
  for (const vm of vms) {
    await client.importMetadata(metadataOf(vmNamed(vm)), 'test');
    await client.start(vm, false, work());
  }
  expect((await client.list()).filter(({ state }) => state.consoles.length > 0)).toHaveLength(64);
});

describe('where storage says that a disk is', () => {
  const backend = (...implementations: readonly Value[]): Value => struct({ implementations });
  const file: Value = ['File', struct({ path: '/a.img' })];
  const device: Value = ['BlockDevice', struct({ path: '/dev/a' })];
  const xen = (extra: Record<string, string>): Value => [
    'XenDisk',
    struct({ params: '/a.qcow2', extra: new Map(Object.entries(extra)), backend_type: 'vbd3' }),
  ];

  test('a file is preferred to a device, and raw is what is not said otherwise', () => {
    expect(placeOf(backend(device, file))).toEqual({ path: '/a.img', format: 'raw' });
    expect(placeOf(backend(['Nbd', struct({ uri: 'nbd:unix:/x' })], device))).toEqual({
      path: '/dev/a',
      format: 'raw',
    });
    expect(placeOf(backend(xen({ format: 'qcow2' }), file))).toEqual({ path: '/a.img', format: 'qcow2' });
    expect(placeOf(backend(xen({ format: 'qcow2' })))).toEqual({ path: '/a.qcow2', format: 'qcow2' });
    expect(placeOf(backend(xen({ format: 'qcow2', backing: '["/b"]' })))).toMatchObject({ backing: ['/b'] });
    expect(() => placeOf(backend(xen({ format: 'qcow2', backing: '["b"]' })))).toThrow('absolute paths');
  });

  test('a server of NBD on this host will do where there is nothing else', () => {
    const nbd = (uri: string): Value => backend(['Nbd', struct({ uri })]);
    const place = { path: '/run/x', format: 'raw', exportName: 'e' };
    expect(placeOf(nbd('nbd:unix:/run/x:exportname=e'))).toEqual(place);
    expect(placeOf(nbd('nbd+unix:///e?socket=/run/x'))).toEqual(place);
  });

  test('a format or a place that guests cannot use is refused', () => {
    expect(() => placeOf(backend(xen({ format: 'vhd' }), file))).toThrow('raw or qcow2, got vhd');
    for (const uri of ['nbd:unix:x', 'nbd:host:1', 'nbd+unix:///a?socket=b', 'http://a/'])
      expect(() => placeOf(backend(['Nbd', struct({ uri })])), uri).toThrow('got Nbd');
    expect(() => placeOf(backend(xen({})))).toThrow('got XenDisk');
    expect(() => placeOf(backend())).toThrow('got none');
  });
});
