// Goal: the client waits for tasks and follows events without losing any, whatever happens to the daemon.
// Method: the daemon with simulated guests over a Unix socket, killed and started again, and a daemon of
// canned answers where an order of events is needed that a real one seldom shows.
import { beforeEach, describe, expect, test } from 'vitest';
import { readXmlRpcCall } from '../../../src/codec/xmlrpc-reader.ts';
import { xmlSuccess, xmlValue } from '../../../src/codec/xmlrpc-writer.ts';
import type { Hypervisor } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { struct, type Value } from '../../../src/std/value.ts';
import {
  type Bench,
  connectClient,
  diskOf,
  type FakeStorage,
  metadataOf,
  promised,
  rawClient,
  serveStorage,
  startDaemon,
  useBench,
  vmNamed,
  watchStates,
  work,
} from '../../daemons/xenopsd/harness.ts';

const bench = useBench();
let storage: FakeStorage;
let client: Hypervisor;
beforeEach(async () => {
  storage = await serveStorage(bench());
  client = connectClient(bench());
});

const lostDaemon = { name: 'XenopsError', tag: 'Failed_to_contact_remote_service' };
const powerOf = async (vm: string): Promise<string | undefined> => (await client.stat(vm))?.power_state;

describe('tasks', () => {
  test('a hundred starts at once all end, share the wait and leave no task behind', async () => {
    await startDaemon(bench(), { delaysMs: { start: 5 } });
    const vms = Array.from({ length: 100 }, (_, index) => `vm${index}`);
    await Promise.all(
      vms.map((vm) => client.importMetadata(metadataOf(vmNamed(vm), [diskOf(vm, 'hda')]), 'test')),
    );
    await Promise.all(
      vms.map((vm) => client.start(vm, false, work()).then(() => client.unpause(vm, work()))),
    );
    const states = await client.list();
    expect(states.filter(({ state }) => state.power_state === 'Running')).toHaveLength(100);
    expect(new Set(states.map(({ state }) => state.domids[0])).size).toBe(100);
    const tasks = (): Promise<Value> => rawClient(bench())('Task.list', struct({ debug_info: 'test' }));
    await expect.poll(tasks).toEqual([]);
    expect(storage.calls).toHaveLength(200);
  });

  test('the progress of what takes long is shown, and goes up', async () => {
    await startDaemon(bench(), { delaysMs: { start: 60_000 } });
    await client.importMetadata(metadataOf(vmNamed('a'), [diskOf('a', 'hda'), diskOf('a', 'hdb')]), 'test');
    const seen: number[] = [];
    const long = new AbortController();
    const progress = (fraction: number): void => {
      seen.push(fraction);
      if (fraction > 0) long.abort();
    };
    const started = client.start('a', false, work({ signal: long.signal, progress }));
    await expect(started).rejects.toMatchObject({ tag: 'Cancelled' });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  test('a task that is cancelled while it waits behind another ends at once', async () => {
    await startDaemon(bench(), { delaysMs: { start: 60_000 } });
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    const first = new AbortController();
    const started = client.start('a', false, work({ signal: first.signal }));
    const second = new AbortController();
    const unpaused = client.unpause('a', work({ signal: second.signal }));
    second.abort();
    await expect(unpaused).rejects.toMatchObject({ tag: 'Cancelled' });
    first.abort();
    await expect(started).rejects.toMatchObject({ tag: 'Cancelled' });
  });

  test('work that is cancelled before it begins never reaches the daemon', async () => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    await expect(client.start('a', false, work({ signal: AbortSignal.abort() }))).rejects.toMatchObject({
      tag: 'Cancelled',
    });
    expect(await powerOf('a')).toBe('Halted');
  });

  test('a task that can no longer be cancelled says so', async () => {
    await startDaemon(bench(), { delaysMs: { destroy: 60_000 } });
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    await client.start('a', false, work());
    const cannot = promised<void>();
    const cancellable = (can: boolean): void => {
      if (!can) cannot.resolve();
    };
    const shutDown = client.shutdown('a', undefined, work({ cancellable }));
    shutDown.catch(() => {});
    await cannot.promise;
  });

  test('a call to a daemon that is not there says that it cannot be reached', async () => {
    await expect(client.query()).rejects.toMatchObject(lostDaemon);
    await expect(client.start('a', false, work())).rejects.toMatchObject(lostDaemon);
  });

  test('a task that ended between its call and the first question is not waited for', async () => {
    const daemon = await cannedDaemon(bench(), {
      'VM.start': () => '7',
      'Task.stat': () => taskNumber7(['Completed', struct({ duration: 1 })]),
      'UPDATES.last_id': () => 5n,
      'UPDATES.get': () => new Promise(() => {}),
    });
    await client.start('a', false, work());
    await expect.poll(() => daemon.calls).toContain('Task.destroy');
  });

  test('a task whose number belongs to another task after a restart is lost, and the other one is left alone', async () => {
    let ctime = 1_700_000_000.5;
    const daemon = await cannedDaemon(bench(), {
      'VM.start': () => '7',
      'Task.stat': () => taskNumber7(['Pending', 0], ctime++),
      'UPDATES.last_id': () => 5n,
      'UPDATES.get': () => [[], [['Task', '7']], 6n],
    });
    await expect(client.start('a', false, work())).rejects.toMatchObject(lostDaemon);
    expect(daemon.calls).not.toContain('Task.destroy');
  });

  test('updates whose numbers went back mean a daemon that restarted', async () => {
    await cannedDaemon(bench(), {
      'VM.start': () => '7',
      'Task.stat': () => taskNumber7(['Pending', 0]),
      'UPDATES.last_id': () => 50n,
      'UPDATES.get': () => [[], [['Vm', 'a']], 3n],
    });
    await expect(client.start('a', false, work())).rejects.toMatchObject(lostDaemon);
  });

  test('an answer that makes no sense is an error that says which', async () => {
    await cannedDaemon(bench(), { 'VM.start': () => 7.5 });
    await expect(client.start('a', false, work())).rejects.toMatchObject({
      tag: 'Internal_error',
      args: [expect.stringContaining('VM.start')],
    });
  });
});

describe('a daemon that is killed', () => {
  test('in the middle of a start fails the start, and its successor finds nothing of it', async () => {
    const first = await startDaemon(bench(), { delaysMs: { start: 60_000 } });
    await client.importMetadata(metadataOf(vmNamed('a'), [diskOf('a', 'hda')]), 'test');
    const building = promised<void>();
    const started = client.start(
      'a',
      false,
      work({ progress: () => storage.calls.length === 2 && building.resolve() }),
    );
    const failed = expect(started).rejects.toMatchObject(lostDaemon);
    await building.promise;
    await first.kill();
    await failed;
    expect(storage.calls).toEqual(['VDI.attach3 vbd/1/hda', 'VDI.activate3 vbd/1/hda']);
    await startDaemon(bench());
    expect(await powerOf('a')).toBe('Halted');
    await client.start('a', false, work());
    expect(storage.calls.slice(2)).toEqual([
      'VDI.deactivate vbd/1/hda',
      'VDI.detach vbd/1/hda',
      'VDI.attach3 vbd/2/hda',
      'VDI.activate3 vbd/2/hda',
    ]);
    expect((await client.stat('a'))?.domids).toEqual([2]);
  });

  test('leaves guests running, and its successor knows them, their devices and their disks', async () => {
    const first = await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a'), [diskOf('a', 'hda')]), 'test');
    await client.start('a', false, work());
    await client.unpause('a', work());
    await first.kill();
    await startDaemon(bench());
    expect(await client.stat('a')).toMatchObject({ power_state: 'Running', domids: [1] });
    expect(await client.statVbd(['a', 'hda'])).toMatchObject({ active: true, plugged: true });
    await client.shutdown('a', 30, work());
    expect(storage.calls.slice(2)).toEqual(['VDI.deactivate vbd/1/hda', 'VDI.detach vbd/1/hda']);
    expect(await powerOf('a')).toBe('Halted');
  });

  test('is noticed by the watcher, which tries again, says so and reports everything anew', async () => {
    const first = await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    await client.importMetadata(metadataOf(vmNamed('b')), 'test');
    const before = (await client.query()).instanceId;
    const watch = watchStates(client);
    await client.barrier('a');
    const lost = watch.next('lost');
    await first.kill();
    await lost;
    watch.seen.length = 0;
    const both = Promise.all([watch.next('a Halted'), watch.next('b Halted')]);
    await startDaemon(bench());
    await both;
    expect(watch.seen[0]).toBe('reconnected');
    expect((await client.query()).instanceId).not.toBe(before);
  });

  test('fails whoever waits for a barrier', async () => {
    const first = await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    const held = promised<void>();
    client.watch({
      onVm: () => held.promise,
      onVbd: async () => {},
      onVif: async () => {},
      onReconnect: async () => {},
      onLost: () => {},
    });
    const barrier = client.barrier('a');
    const failed = expect(barrier).rejects.toMatchObject(lostDaemon);
    await first.kill();
    held.resolve();
    await failed;
  });
});

describe('events', () => {
  test('a barrier waits for the reports of its VM that were made before it', async () => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    const watch = watchStates(client);
    await client.start('a', false, work());
    await client.unpause('a', work());
    await client.barrier('a');
    expect(watch.latest.get('a')?.power_state).toBe('Running');
    await client.shutdown('a', undefined, work());
    await client.barrier('a');
    expect(watch.latest.get('a')?.power_state).toBe('Halted');
    await client.remove('a');
    await client.barrier('a');
    expect(watch.latest.has('a')).toBe(true);
    expect(watch.latest.get('a')).toBeUndefined();
  });

  test('a VM that is attended is left out of the reports until it is left', async () => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    const watch = watchStates(client);
    await client.barrier('a');
    watch.seen.length = 0;
    const attendance = client.attend('a');
    await client.start('a', false, work());
    expect((await attendance.state())?.power_state).toBe('Paused');
    await client.unpause('a', work());
    await client.barrier('a');
    expect(watch.seen).toEqual([]);
    const told = watch.next('a Running');
    attendance.leave();
    await told;
    // What the answer to `state` told already is not told once more.
    const again = client.attend('a');
    await client.pause('a', work());
    await client.barrier('a');
    expect((await again.state())?.power_state).toBe('Paused');
    watch.seen.length = 0;
    again.leave();
    await client.barrier('a');
    await client.barrier('a');
    expect(watch.seen).toEqual([]);
  });

  test('barriers of many VMs at once all come back', async () => {
    await startDaemon(bench());
    const vms = Array.from({ length: 50 }, (_, index) => `vm${index}`);
    const watch = watchStates(client);
    await Promise.all(
      vms.map(async (vm) => {
        await client.importMetadata(metadataOf(vmNamed(vm)), 'test');
        await client.start(vm, false, work());
        await client.barrier(vm);
        expect(watch.latest.get(vm)?.power_state).toBe('Paused');
      }),
    );
  });

  test('a refresh announces the VM and every device of it', async () => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a'), [diskOf('a', 'hda')]), 'test');
    const watch = watchStates(client);
    await client.barrier('a');
    watch.seen.length = 0;
    await client.refresh('a');
    await client.barrier('a');
    expect(watch.seen).toEqual(['a disk hda', 'a Halted']);
  });

  test('a VM is reported again on demand, also one that the daemon has forgotten', async () => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    const watch = watchStates(client);
    await client.barrier('a');
    await client.remove('a');
    await client.barrier('a');
    watch.seen.length = 0;
    client.reportAgain('a');
    await client.barrier('a');
    await client.barrier('a');
    expect(watch.seen).toEqual(['a gone']);
  });

  test('a barrier without a watcher is a mistake that is told', async () => {
    await startDaemon(bench());
    await expect(client.barrier('a')).rejects.toThrow('watch()');
  });

  test('a report that fails is made again, and a barrier behind it fails too', async () => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    let tries = 0;
    const succeeded = new Promise<void>((resolve) => {
      client.watch({
        onVm: async () => {
          tries += 1;
          if (tries < 3) throw new Error('not now');
          resolve();
        },
        onVbd: async () => {},
        onVif: async () => {},
        onReconnect: async () => {},
        onLost: () => {},
      });
    });
    await succeeded;
    expect(tries).toBe(3);
    await client.barrier('a');
  });

  test('closing ends whoever waits', async () => {
    await startDaemon(bench(), { delaysMs: { start: 60_000 } });
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    const pending = promised<void>();
    const started = client.start('a', false, work({ cancellable: () => pending.resolve() }));
    const failed = expect(started).rejects.toMatchObject(lostDaemon);
    await pending.promise;
    await client.close();
    await failed;
  });
});

const taskNumber7 = (state: Value, ctime = 1_700_000_000.5): Value =>
  struct({
    id: '7',
    dbg: 'test',
    ctime,
    state,
    subtasks: new Map(),
    debug_info: new Map(),
    backtrace: '()',
    cancellable: true,
  });

type Answers = Readonly<Record<string, () => Value | Promise<Value>>>;

/** A daemon that answers what it is told to, and null to everything else. */
const cannedDaemon = async (
  bench: Bench,
  answers: Answers,
): Promise<{ readonly calls: readonly string[] }> => {
  const calls: string[] = [];
  const known: Answers = { query: () => struct({ instance_id: 'one' }), ...answers };
  const serving = await nodeNetwork.serve(
    { socketPath: bench.path('xenopsd') },
    async ({ body }) => {
      const { method } = readXmlRpcCall(body);
      calls.push(method);
      return {
        status: 200,
        contentType: 'text/xml',
        body: xmlSuccess(xmlValue((await known[method]?.()) ?? null)),
      };
    },
    { bodyMax: 1_000_000 },
  );
  bench.later(() => serving.close());
  return { calls };
};
