// Goal: once a coordinator's orders were seen, those of earlier ones are refused, whatever happens to the
//   daemon in between, and orders that know no epochs are taken as before.
// Method: a daemon with simulated guests over its socket, killed and started again; a disk that fails.
import { readFile, writeFile } from 'node:fs/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { epochOf, openEpochs } from '../../../src/daemons/xenopsd/epochs.ts';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { xenopsdHypervisor } from '../../../src/rpc/xenops/xenopsd.ts';
import { silentLog } from '../../../src/std/log.ts';
import { member } from '../../../src/std/reader.ts';
import { struct } from '../../../src/std/value.ts';
import {
  connectClient,
  metadataOf,
  promised,
  type Running,
  rawClient,
  serveStorage,
  startDaemon,
  trigger,
  useBench,
  vmNamed,
  work,
} from './harness.ts';

const bench = useBench();

const refusal = (inForce: number, own: number) => ({
  error: [
    'Internal_error',
    `another coordinator has taken over: epoch ${inForce} is in force, and this order is of epoch ${own}`,
  ],
});

describe('over the socket', () => {
  let running: Running;
  beforeEach(async () => {
    await serveStorage(bench());
    running = await startDaemon(bench());
    await connectClient(bench()).importMetadata(metadataOf(vmNamed('v')), 'test');
  });
  const pause = (debug_info: string) => rawClient(bench())('VM.pause', struct({ id: 'v', debug_info }));

  test('the highest epoch counts, also for the next daemon, and it is on disk before the order is acted upon', async () => {
    await pause('OpaqueRef:1|VM.pause|epoch:7');
    expect(await readFile(bench().path('state/epoch'), 'utf8')).toBe('7');
    await expect(pause('OpaqueRef:2|VM.pause|epoch:6')).rejects.toMatchObject(refusal(7, 6));
    await pause('epoch:7|OpaqueRef:3');
    await running.kill();
    running = await startDaemon(bench());
    await expect(pause('OpaqueRef:4|epoch:6')).rejects.toMatchObject(refusal(7, 6));
    await pause('OpaqueRef:5|epoch:8\n{"traceparent":"epoch:1"}');
    await expect(pause('OpaqueRef:6|epoch:7')).rejects.toMatchObject(refusal(8, 7));
    await pause('no epoch at all');
  });

  test('an order that waited for its turn while another coordinator took over is not carried out', async () => {
    await trigger(bench(), 'set-delay', 'start', '100');
    const call = rawClient(bench());
    await call('VM.start', struct({ id: 'v', paused: false, debug_info: 'first|epoch:3' }));
    const waits = await call('VM.unpause', struct({ id: 'v', debug_info: 'second|epoch:3' }));
    await pause('third|epoch:4');
    const unpaused = await vi.waitFor(async () => {
      const task = await call('Task.stat', struct({ id: waits, debug_info: 'test' }));
      const state = member(task, 'state');
      expect(state).not.toMatchObject(['Pending', expect.anything()]);
      return state;
    });
    expect(unpaused).toEqual(['Failed', refusal(4, 3).error]);
    expect((await connectClient(bench()).stat('v'))?.power_state).toBe('Paused');
  });

  test('a client with an epoch puts it on its orders and on nothing else', async () => {
    let epoch = 5;
    const basics = { network: nodeNetwork, clock: nodeClock, log: silentLog };
    const endpoint = { socketPath: bench().path('xenopsd') };
    const client = xenopsdHypervisor({ ...basics, endpoint, epoch: () => epoch });
    bench().later(() => client.close());
    await client.importMetadata(metadataOf(vmNamed('v')), 'OpaqueRef:1|VM.start');
    expect(await readFile(bench().path('state/epoch'), 'utf8')).toBe('5');
    await trigger(bench(), 'set-delay', 'start', '100');
    const begun = promised<void>();
    const started = client.start('v', false, work({ cancellable: () => begun.resolve() }));
    await begun.promise;
    await pause('another|epoch:9');
    // It was taken when its epoch was in force, so its end is still told.
    await started;
    await expect(client.unpause('v', work())).rejects.toMatchObject({ tag: 'Internal_error' });
    expect((await client.stat('v'))?.power_state).toBe('Paused');
    epoch = 9;
    await client.unpause('v', work());
  });
});

describe('on disk', () => {
  test('an epoch that cannot be written is not acted upon, and is tried again by the next order', async () => {
    const path = bench().path('epoch');
    let isFull = true;
    const replaceText: typeof nodeDisk.replaceText = async (...args) => {
      if (isFull) throw new Error('no space');
      await nodeDisk.replaceText(...args);
    };
    const epochs = await openEpochs({ ...nodeDisk, replaceText }, path);
    await expect(epochs.admit('epoch:2')).rejects.toThrow('no space');
    await expect(epochs.admit('epoch:2')).rejects.toThrow('no space');
    isFull = false;
    await epochs.admit('epoch:2');
    expect(await readFile(path, 'utf8')).toBe('2');
  });

  test('orders that come together are all behind the write of their epoch, and the lower ones are refused', async () => {
    const path = bench().path('epoch');
    const epochs = await openEpochs(nodeDisk, path);
    const all = await Promise.allSettled([1, 3, 2, 3].map((each) => epochs.admit(`x|epoch:${each}`)));
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
    expect(await readFile(path, 'utf8')).toBe('3');
  });

  test('a file that holds no epoch keeps the daemon from starting', async () => {
    const path = bench().path('epoch');
    for (const text of ['', 'x', '-1', '1.5']) {
      await writeFile(path, text);
      await expect(openEpochs(nodeDisk, path)).rejects.toThrow('does not hold an epoch');
    }
  });
});

test('the last part of the first line that is an epoch is the one, and one with too many digits is refused', () => {
  expect(epochOf('a|epoch:4|b')).toBe(4);
  expect(epochOf('my epoch:4|epoch:5')).toBe(5);
  expect(epochOf('epoch:9|a|epoch:4')).toBe(4);
  expect(epochOf('epoch:|xepoch:4|epoch:4x')).toBeUndefined();
  expect(epochOf('a\nepoch:4')).toBeUndefined();
  expect(() => epochOf(`epoch:${'9'.repeat(16)}`)).toThrow('up to 15 digits');
});
