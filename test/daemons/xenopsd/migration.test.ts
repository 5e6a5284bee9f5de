// Goal: a guest that migrates runs on exactly one host whatever is cut or killed on the way, its disks are
// never active on both, and both daemons tell the truth about where it is.
// Method: two daemons with simulated guests, a storage that watches both, and a way between them that is
// caught at every step of the migration.
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { struct } from '../../../src/std/value.ts';
import {
  cardOf,
  diskOf,
  driveOf,
  metadataOf,
  promised,
  rawClient,
  trigger,
  useBench,
  vmNamed,
  watchStates,
  work,
} from './harness.ts';
import {
  type SharedStorage,
  type Side,
  type Stop,
  sharedStorage,
  sideOf,
  stops,
  type Way,
  wayTo,
} from './two-hosts.ts';

const bench = useBench();
let storage: SharedStorage;
let a: Side;
let b: Side;
let way: Way;

beforeEach(async () => {
  const shared = sharedStorage();
  storage = shared;
  a = await sideOf(bench(), 'a', shared);
  b = await sideOf(bench(), 'b', shared);
  way = await wayTo(bench(), b.bench.path('xenopsd'));
  await a.start();
  await b.start();
});

const powerOf = async (side: Side): Promise<string> => (await side.client.stat('v'))?.power_state ?? 'gone';
const places = async (): Promise<string> => `${await powerOf(a)} ${await powerOf(b)}`;
const listed = async (side: Side): Promise<string[]> => (await side.client.list()).map(({ id }) => id);

/** Runs the VM `v` with two disks, an empty drive and a card on the first host. */
const runThere = async (): Promise<void> => {
  const disks = [diskOf('v', 'hda'), diskOf('v', 'hdb'), driveOf('v', 'hdd')];
  await a.client.importMetadata(metadataOf(vmNamed('v'), disks, [cardOf('v', '0')]), 'test');
  await a.client.start('v', false, work());
  await a.client.unpause('v', work());
};
const migrate = (more: Parameters<typeof work>[0] = {}): Promise<void> =>
  a.client.migrate('v', { url: way.url }, work(more));

/** The VM runs on one host, with its disks, and the other has nothing of it left. */
const expectOnly = async (home: 'a' | 'b'): Promise<void> => {
  const away = home === 'a' ? 'b' : 'a';
  await vi.waitFor(async () => {
    expect(await places()).toBe(home === 'a' ? 'Running gone' : 'gone Running');
    expect(storage.attached(away)).toEqual([]);
  }, 10_000);
  expect(storage.active(home)).toEqual(['v-hda', 'v-hdb']);
  expect(storage.clashes).toEqual([]);
  expect(await listed(home === 'a' ? a : b)).toEqual(['v']);
  expect(await listed(home === 'a' ? b : a)).toEqual([]);
  await (home === 'a' ? a : b).client.shutdown('v', undefined, work());
  expect(storage.attached(home)).toEqual([]);
};

describe('a migration', () => {
  test('takes along what the devices of the guest keep', async () => {
    const { boot, ...vm } = vmNamed('v');
    const withTpm = { ...vm, boot: { ...boot, tpm: 'a-tpm' } as typeof boot };
    await a.client.importMetadata(metadataOf(withTpm, [], []), 'test');
    await a.client.setKept('v', new Map([['tpm', 'b25l']]));
    await a.client.start('v', false, work());
    await a.client.unpause('v', work());
    await migrate();
    expect(await b.client.kept('v')).toEqual(new Map([['tpm', 'b25l']]));
    await b.client.shutdown('v', undefined, work());
    expect(await b.client.kept('v')).toEqual(new Map([['tpm', 'b25l']]));
  });

  test('leaves the guest running there with all its devices, and nothing of it here', async () => {
    await runThere();
    const progress: number[] = [];
    await trigger(a.bench, 'set-delay', 'send', '1000');
    await migrate({ progress: (fraction) => progress.push(fraction) });
    expect(progress.length).toBeGreaterThan(0);
    expect(progress).toEqual([...progress].sort((one, other) => one - other));
    expect(await b.client.statVbd(['v', 'hdd'])).toMatchObject({ active: true, plugged: true });
    expect(await b.client.statVif(['v', '0'])).toEqual({ active: true, plugged: true });
    expect((await b.client.stat('v'))?.guest_agent.get('data/os_name')).toBe('Simulated Linux');
    const relevant = storage.calls.filter((call) => call.includes('/hda'));
    expect(relevant.slice(2)).toEqual([
      'b VDI.attach3 vbd/1/hda',
      'a VDI.deactivate vbd/1/hda',
      'b VDI.activate3 vbd/1/hda',
      'a VDI.deactivate vbd/1/hda',
      'a VDI.detach vbd/1/hda',
    ]);
    await expectOnly('b');
  });

  test('and back again is as good as the first one', async () => {
    await runThere();
    await migrate();
    const back = `http+unix://${encodeURIComponent(a.bench.path('xenopsd'))}/any/path`;
    await b.client.migrate('v', { url: back }, work());
    await expectOnly('a');
  });

  test('gives disks and cards the names that they have there', async () => {
    await runThere();
    const vdiMap = new Map([['sr/v-hda', 'other/moved']]);
    await a.client.migrate('v', { url: way.url, vdiMap, vifMap: new Map([['0', 'xenbr7']]) }, work());
    const { vbds, vifs } = await b.client.exportMetadata('v', 'test');
    expect(vbds.map(({ backend }) => backend?.[1])).toEqual(['other/moved', 'sr/v-hdb', undefined]);
    expect(vifs[0]?.backend).toBe('xenbr7');
    expect(storage.active('b')).toEqual(['moved', 'v-hdb']);
  });

  test('tells watchers here that the VM is gone and watchers there that it runs, and nothing else', async () => {
    await runThere();
    const here = watchStates(a.client);
    const there = watchStates(b.client);
    const gone = here.next('v gone');
    const runs = there.next('v Running');
    await migrate();
    await Promise.all([gone, runs]);
    expect(here.seen).not.toContain('v Halted');
    expect(here.seen).not.toContain('v Paused');
    expect(there.seen.filter((text) => text.startsWith('v ') && text !== 'v Running')).toEqual([
      'v disk hda',
      'v disk hdb',
      'v disk hdd',
      'v card 0',
    ]);
  });

  test('is refused for what does not run, for the same host and for a place that is none', async () => {
    await a.client.importMetadata(metadataOf(vmNamed('v')), 'test');
    await expect(migrate()).rejects.toMatchObject({ tag: 'Bad_power_state', args: ['Halted', 'Running'] });
    await a.client.start('v', false, work());
    await expect(migrate()).rejects.toMatchObject({ tag: 'Bad_power_state', args: ['Paused', 'Running'] });
    await a.client.unpause('v', work());
    for (const url of ['http://10.0.0.2/', 'http+unix://relative/', 'http+unix://%zz/', '']) {
      await expect(a.client.migrate('v', { url }, work())).rejects.toMatchObject({
        tag: 'Failed_to_contact_remote_service',
      });
    }
    const same = struct({ id: 'v', debug_info: 'test', xenops_url: way.url, localhost_migration: true });
    await expect(rawClient(a.bench)('VM.migrate', same)).rejects.toMatchObject({
      error: ['Unimplemented', expect.any(String)],
    });
    const self = `http+unix://${encodeURIComponent(a.bench.path('xenopsd'))}/`;
    await expect(a.client.migrate('v', { url: self }, work())).rejects.toMatchObject({
      tag: 'Bad_power_state',
    });
    expect(await places()).toBe('Running gone');
  });

  test('of a VM that runs there is refused and changes neither', async () => {
    await runThere();
    await b.client.importMetadata(metadataOf(vmNamed('v')), 'test');
    await b.client.start('v', false, work());
    await expect(migrate()).rejects.toMatchObject({ tag: 'Bad_power_state', args: ['Paused', 'Halted'] });
    expect(await places()).toBe('Running Paused');
  });

  test.each(['send', 'receive', 'arrive'])('that fails at %s leaves the guest here', async (operation) => {
    await runThere();
    await trigger(operation === 'send' ? a.bench : b.bench, 'add-fault', operation, '1', 'IO_error');
    await expect(migrate()).rejects.toMatchObject({ tag: 'IO_error' });
    await expectOnly('a');
  });

  test.each(['b VDI.attach3', 'a VDI.deactivate', 'b VDI.activate3'])(
    'whose storage refuses %s leaves the guest here',
    async (call) => {
      await runThere();
      storage.refusals.push(call);
      await expect(migrate()).rejects.toMatchObject({ tag: 'Storage_backend_error' });
      await expectOnly('a');
    },
  );

  test('can be cancelled while memory flows', async () => {
    await runThere();
    await trigger(a.bench, 'set-delay', 'send', '60000');
    const stop = new AbortController();
    const migrated = migrate({ signal: stop.signal });
    await vi.waitFor(() => expect(storage.attached('b')).toHaveLength(2));
    stop.abort();
    await expect(migrated).rejects.toMatchObject({ tag: 'Cancelled' });
    await expectOnly('a');
  });

  test('of a guest that ends by itself on the way ends there, as without it', async () => {
    await runThere();
    await trigger(a.bench, 'set-delay', 'send', '400');
    const migrated = migrate();
    await vi.waitFor(() => expect(storage.attached('b')).toHaveLength(2));
    await trigger(a.bench, 'guest-poweroff', 'v');
    await expect(migrated).rejects.toMatchObject({ tag: 'Bad_power_state' });
    await vi.waitFor(async () => expect(await places()).toBe('Halted gone'));
    expect([...storage.attached('a'), ...storage.attached('b')]).toEqual([]);
  });
});

describe('a migration that is caught on its way', () => {
  const home = (stop: Stop): 'a' | 'b' =>
    stops.indexOf(stop) < stops.indexOf('commit answered') ? 'a' : 'b';
  const catches = (stop: Stop, run: () => void): Promise<void> => {
    const { promise, resolve } = promised<void>();
    way.catchAt(stop, () => {
      run();
      resolve();
    });
    return promise;
  };

  test.each(stops)('by a cut at "%s" ends on one host', async (stop) => {
    await runThere();
    const caught = catches(stop, () => {});
    const migrated = migrate();
    if (home(stop) === 'a')
      await expect(migrated).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
    else await migrated;
    await caught;
    await expectOnly(home(stop));
  });

  test.each(stops)('by the death of the source at "%s" ends on one host', async (stop) => {
    await runThere();
    const caught = catches(stop, a.kill);
    const failed = expect(migrate()).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
    await caught;
    await failed;
    await a.restart();
    await expectOnly(home(stop));
  });

  test.each(stops)('by the death of the destination at "%s" ends on one host', async (stop) => {
    await runThere();
    const caught = catches(stop, b.kill);
    const migrated = migrate().catch(() => {});
    await caught;
    await b.restart();
    await migrated;
    await expectOnly(home(stop));
  });

  test.each(stops)('by the death of both at "%s" ends on one host', async (stop) => {
    await runThere();
    const caught = catches(stop, () => {
      a.kill();
      b.kill();
    });
    const migrated = migrate().catch(() => {});
    await caught;
    await migrated;
    await Promise.all([a.restart(), b.restart()]);
    await expectOnly(home(stop));
  });
});

describe('a guest whose destination cannot be asked', () => {
  /** It was handed over, and nobody here could be told. */
  const inDoubt = async (): Promise<void> => {
    await runThere();
    way.catchAt('commit answered', way.cut);
    await expect(migrate()).rejects.toMatchObject({ tag: 'Failed_to_contact_remote_service' });
    expect(await places()).toBe('Paused Running');
  };

  test('stands still, is not let run and not rebooted', async () => {
    await inDoubt();
    const unknown = { tag: 'Failed_to_contact_remote_service' };
    await expect(a.client.unpause('v', work())).rejects.toMatchObject(unknown);
    await expect(a.client.reboot('v', undefined, work())).rejects.toMatchObject(unknown);
    await a.restart();
    await expect(a.client.unpause('v', work())).rejects.toMatchObject(unknown);
    expect(await places()).toBe('Paused Running');
    way.mend();
    await expectOnly('b');
  });

  test('is looked for anew by the next migration, by whatever way that knows', async () => {
    await inDoubt();
    const direct = `http+unix://${encodeURIComponent(b.bench.path('xenopsd'))}/`;
    await a.client.migrate('v', { url: direct }, work());
    await expectOnly('b');
  });

  test('is not taken for abandoned because another daemon knows nothing of it', async () => {
    await inDoubt();
    const self = `http+unix://${encodeURIComponent(a.bench.path('xenopsd'))}/`;
    await expect(a.client.migrate('v', { url: self }, work())).rejects.toMatchObject({
      tag: 'Internal_error',
      args: [expect.stringContaining('not the destination')],
    });
    expect(await places()).toBe('Paused Running');
  });

  test('is given up by a hard shutdown, which leaves the other host alone', async () => {
    await inDoubt();
    await a.client.shutdown('v', undefined, work());
    expect(await places()).toBe('Halted Running');
    expect(storage.attached('a')).toEqual([]);
    expect(storage.active('b')).toEqual(['v-hda', 'v-hdb']);
    await a.client.remove('v');
    await expectOnly('b');
  });
});

describe('a hard shutdown', () => {
  test.each(['send', 'receive'])('during %s ends the guest on both hosts', async (operation) => {
    await runThere();
    await trigger(operation === 'send' ? a.bench : b.bench, 'set-delay', operation, '60000');
    const failed = expect(migrate()).rejects.toMatchObject({ tag: 'Cancelled' });
    await vi.waitFor(() => expect(storage.attached('b')).toHaveLength(2));
    await a.client.shutdown('v', undefined, work());
    await failed;
    await vi.waitFor(async () => expect(await places()).toBe('Halted gone'));
    expect([...storage.attached('a'), ...storage.attached('b')]).toEqual([]);
  });

  test('of a VM that is arriving sends it back and frees its disks', async () => {
    await runThere();
    await trigger(b.bench, 'set-delay', 'receive', '60000');
    const failed = expect(migrate()).rejects.toThrow();
    await vi.waitFor(() => expect(storage.attached('b')).toHaveLength(2));
    await b.client.shutdown('v', undefined, work());
    await failed;
    await expectOnly('a');
  });

  test('of a VM that was announced and never came works as well', async () => {
    await runThere();
    const caught = promised<void>();
    way.catchAt('memory asked', () => {
      a.kill();
      caught.resolve();
    });
    const failed = expect(migrate()).rejects.toThrow();
    await caught.promise;
    await failed;
    await expect(b.client.stat('v')).resolves.toBeUndefined();
    await b.client.shutdown('v', undefined, work());
    await expect(b.client.shutdown('v', undefined, work())).rejects.toMatchObject({ tag: 'Does_not_exist' });
    await a.restart();
    await expectOnly('a');
  });
});
