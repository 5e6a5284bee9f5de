// Goal: a VM goes through its life as the xenopsd interface promises, its disks are attached before and given
// back after, and whatever fails in between leaves nothing behind.
// Method: the client and the daemon with simulated guests over a Unix socket, and storage that keeps a list.
import { readFile, writeFile } from 'node:fs/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { variantOf } from '../../../src/codec/rpclib.ts';
import type { Disk } from '../../../src/drivers/disk.ts';
import type { Hypervisor } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { member } from '../../../src/std/reader.ts';
import { struct, type Value } from '../../../src/std/value.ts';
import {
  cardOf,
  connectClient,
  diskOf,
  driveOf,
  type FakeStorage,
  metadataOf,
  rawClient,
  serveStorage,
  startDaemon,
  trigger,
  useBench,
  vmNamed,
  watchStates,
  work,
} from './harness.ts';

const bench = useBench();
let storage: FakeStorage;
let client: Hypervisor;
beforeEach(async () => {
  storage = await serveStorage(bench());
  client = connectClient(bench());
});

const refusal = (tag: string, ...args: readonly unknown[]): unknown =>
  expect.objectContaining({ name: 'XenopsError', tag, args });
const powerOf = async (vm: string): Promise<string | undefined> => (await client.stat(vm))?.power_state;
const begin = async (vm: string): Promise<void> => {
  await client.start(vm, false, work());
  await client.unpause(vm, work());
};

/** The machine's disk, which takes nothing for as long as `refuses` says so. */
const failingDisk = (refuses: () => boolean): Disk => ({
  ...nodeDisk,
  open: async (...args) => {
    const file = await nodeDisk.open(...args);
    const write: typeof file.write = async (...given) => {
      if (refuses()) throw new Error('EIO');
      return file.write(...given);
    };
    return { ...file, write };
  },
  replaceText: async (...args) => {
    if (refuses()) throw new Error('EIO');
    return nodeDisk.replaceText(...args);
  },
});

test('what became of a VM is told also where it cannot be written down', async () => {
  let refuses = false;
  await startDaemon(bench(), {}, { disk: failingDisk(() => refuses) });
  await client.importMetadata(metadataOf(vmNamed('a'), [diskOf('a', 'hda')]), 'test');
  const watch = watchStates(client);
  await begin('a');
  await client.barrier('a');
  watch.seen.length = 0;
  refuses = true;
  await expect(client.shutdown('a', undefined, work())).rejects.toMatchObject({ name: 'XenopsError' });
  await client.barrier('a');
  expect(watch.seen).toContain('a Halted');
  watch.seen.length = 0;
  await expect(client.remove('a')).rejects.toMatchObject({ name: 'XenopsError' });
  await client.barrier('a');
  expect(watch.seen).toContain('a gone');
});

describe('from start to shutdown', () => {
  beforeEach(async () => {
    await startDaemon(bench());
    await client.importMetadata(
      metadataOf(
        vmNamed('a'),
        [driveOf('a', 'hdd'), diskOf('a', 'hda'), diskOf('a', 'hdb', { mode: 'ReadOnly' })],
        [cardOf('a', '0')],
      ),
      'test',
    );
  });

  test('a start attaches and activates each disk, writable ones first, and leaves the VM paused', async () => {
    expect(await powerOf('a')).toBe('Halted');
    await client.start('a', false, work());
    expect(storage.calls).toEqual([
      'VDI.attach3 vbd/1/hda',
      'VDI.activate3 vbd/1/hda',
      'VDI.attach3 vbd/1/hdb read-only',
      'VDI.activate3 vbd/1/hdb',
    ]);
    expect(await client.stat('a')).toMatchObject({
      power_state: 'Paused',
      domids: [1],
      memory_actual: 1n << 28n,
      vcpu_target: 2,
      hvm: true,
      domain_type: 'Domain_HVM',
    });
    expect(await client.statVbd(['a', 'hda'])).toMatchObject({ active: true, plugged: true });
    expect(await client.statVbd(['a', 'hdd'])).toMatchObject({ active: true, plugged: true });
    expect(await client.statVif(['a', '0'])).toEqual({ active: true, plugged: true });
  });

  test('a hard shutdown deactivates and detaches every disk before the VM is halted', async () => {
    await begin('a');
    expect(await powerOf('a')).toBe('Running');
    storage.calls.length = 0;
    await client.shutdown('a', undefined, work());
    expect(storage.calls).toEqual([
      'VDI.deactivate vbd/1/hdb',
      'VDI.detach vbd/1/hdb',
      'VDI.deactivate vbd/1/hda',
      'VDI.detach vbd/1/hda',
    ]);
    expect(await client.stat('a')).toMatchObject({ power_state: 'Halted', domids: [], memory_actual: 0n });
    expect(await client.statVbd(['a', 'hda'])).toMatchObject({ active: false, plugged: false });
  });

  test('a hard shutdown of a halted VM succeeds', async () => {
    await client.shutdown('a', undefined, work());
    expect(await powerOf('a')).toBe('Halted');
  });

  test('a clean shutdown asks the guest and waits for it', async () => {
    await begin('a');
    await trigger(bench(), 'set-delay', 'guest-poweroff', '20');
    await client.shutdown('a', 60, work());
    expect(await powerOf('a')).toBe('Halted');
    expect(storage.calls.at(-1)).toBe('VDI.detach vbd/1/hda');
  });

  test('a guest that does not listen makes a clean shutdown fail with its timeout, and runs on', async () => {
    await begin('a');
    await trigger(bench(), 'add-fault', 'guest-poweroff', '1', '');
    await expect(client.shutdown('a', 0.05, work())).rejects.toEqual(
      refusal('Failed_to_shutdown', 'a', 0.05),
    );
    expect(await powerOf('a')).toBe('Running');
    await client.shutdown('a', 60, work());
    expect(await powerOf('a')).toBe('Halted');
  });

  test('a reboot gives the guest a new domain and runs it', async () => {
    await begin('a');
    await client.reboot('a', 60, work());
    expect(await client.stat('a')).toMatchObject({ power_state: 'Running', domids: [2] });
    await client.reboot('a', undefined, work());
    expect(await client.stat('a')).toMatchObject({ power_state: 'Running', domids: [3] });
    expect(storage.calls.filter((call) => call === 'VDI.detach vbd/2/hda')).toHaveLength(1);
  });

  test('pause and unpause say what they do and do it once', async () => {
    await begin('a');
    await client.pause('a', work());
    await client.pause('a', work());
    expect(await powerOf('a')).toBe('Paused');
    await expect(client.shutdown('a', 5, work())).rejects.toEqual(
      refusal('Bad_power_state', 'Paused', 'Running'),
    );
    await client.unpause('a', work());
    expect(await powerOf('a')).toBe('Running');
  });

  test('operations that the power state does not allow are refused with both states', async () => {
    await expect(client.unpause('a', work())).rejects.toEqual(refusal('Bad_power_state', 'Halted', 'Paused'));
    await expect(client.reboot('a', 1, work())).rejects.toEqual(
      refusal('Bad_power_state', 'Halted', 'Running'),
    );
    await begin('a');
    await expect(client.start('a', false, work())).rejects.toEqual(
      refusal('Bad_power_state', 'Running', 'Halted'),
    );
    await expect(client.remove('a')).rejects.toEqual(refusal('Bad_power_state', 'Running', 'Halted'));
  });

  test('a VM that was removed is not known any more', async () => {
    await client.remove('a');
    expect(await client.stat('a')).toBeUndefined();
    expect(await client.list()).toEqual([]);
    await expect(client.start('a', false, work())).rejects.toEqual(refusal('Does_not_exist', 'VM', 'a'));
  });
});

describe('suspend and resume', () => {
  beforeEach(async () => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a'), [diskOf('a', 'hda')]), 'test');
    await begin('a');
  });

  test('memory goes to a disk of storage, the guest’s disks are given back, and resume brings it back paused', async () => {
    storage.calls.length = 0;
    await client.suspend('a', ['VDI', 'sr/memory'], work());
    expect(storage.calls).toEqual([
      'VDI.attach3 xenopsd/a',
      'VDI.activate3 xenopsd/a',
      'VDI.deactivate xenopsd/a',
      'VDI.detach xenopsd/a',
      'VDI.deactivate vbd/1/hda',
      'VDI.detach vbd/1/hda',
    ]);
    expect(await client.stat('a')).toMatchObject({ power_state: 'Suspended', domids: [] });
    await expect(client.start('a', false, work())).rejects.toEqual(
      refusal('Bad_power_state', 'Suspended', 'Halted'),
    );
    await client.resume('a', ['VDI', 'sr/memory'], work());
    expect(await client.stat('a')).toMatchObject({ power_state: 'Paused', domids: [2] });
  });

  test('exported metadata of a suspended VM make it suspended where they are imported', async () => {
    await client.suspend('a', ['Local', bench().path('memory')], work());
    expect(await readFile(bench().path('memory'), 'utf8')).toContain('a');
    const exported = await client.exportMetadata('a', 'test');
    expect(exported.domains).toBeDefined();
    await client.remove('a');
    await client.importMetadata(exported, 'test');
    expect(await powerOf('a')).toBe('Suspended');
    await client.resume('a', ['Local', bench().path('memory')], work());
    expect(await powerOf('a')).toBe('Paused');
  });

  test('a hard shutdown of a suspended VM forgets its memory', async () => {
    await client.suspend('a', ['Local', bench().path('memory')], work());
    await client.shutdown('a', undefined, work());
    expect(await powerOf('a')).toBe('Halted');
  });

  test('what holds the memory of no guest is refused, and the VM stays suspended', async () => {
    await client.suspend('a', ['Local', bench().path('memory')], work());
    await writeFile(bench().path('other'), 'none');
    await expect(client.resume('a', ['Local', bench().path('other')], work())).rejects.toMatchObject({
      tag: 'Internal_error',
    });
    expect(await powerOf('a')).toBe('Suspended');
  });

  test('a suspend that fails leaves the guest running', async () => {
    await trigger(bench(), 'add-fault', 'suspend', '1', 'Failed_to_acknowledge_suspend_request');
    await expect(client.suspend('a', ['VDI', 'sr/memory'], work())).rejects.toEqual(
      refusal('Failed_to_acknowledge_suspend_request'),
    );
    expect(await powerOf('a')).toBe('Running');
  });
});

describe('a start that fails', () => {
  beforeEach(async () => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a'), [diskOf('a', 'hda'), diskOf('a', 'hdb')]), 'test');
  });
  const expectUndone = async (): Promise<void> => {
    const held = new Set<string>();
    for (const call of storage.calls) {
      const [method, dp = ''] = call.split(' ');
      if (method === 'VDI.attach3') held.add(dp);
      if (method === 'VDI.detach') held.delete(dp);
    }
    expect([...held]).toEqual([]);
    expect(await powerOf('a')).toBe('Halted');
  };

  test('at the guest gives back every disk', async () => {
    await trigger(bench(), 'add-fault', 'start', '1', 'No_bootable_device');
    await expect(client.start('a', false, work())).rejects.toEqual(refusal('No_bootable_device'));
    await expectUndone();
    await client.start('a', false, work());
    expect(await powerOf('a')).toBe('Paused');
  });

  test('at a disk gives back that one and those before it', async () => {
    storage.refusals.set('VDI.activate3 a-hdb', [
      'Backend_error',
      ['SR_BACKEND_FAILURE_46', ['', 'no space', '']],
    ]);
    await expect(client.start('a', false, work())).rejects.toEqual(
      refusal('Storage_backend_error', 'SR_BACKEND_FAILURE_46', ['', 'no space', '']),
    );
    await expectUndone();
  });

  test('because its SR is not attached says so', async () => {
    storage.refusals.set('VDI.attach3 a-hda', ['No_storage_plugin_for_sr', 'sr']);
    await expect(client.start('a', false, work())).rejects.toEqual(
      refusal('Storage_backend_error', 'SR_NOT_ATTACHED', ['sr']),
    );
    await expectUndone();
  });

  test('because storage offers no file is refused with what it offered', async () => {
    storage.places.set('a-hda', struct({ implementations: [['Nbd', struct({ uri: 'nbd://elsewhere/x' })]] }));
    await expect(client.start('a', false, work())).rejects.toMatchObject({
      tag: 'Storage_backend_error',
      args: ['SR_BACKEND_FAILURE', ['', expect.stringContaining('Nbd'), '']],
    });
    await expectUndone();
  });

  test('in the middle, cancelled by its client, is undone and says Cancelled', async () => {
    await trigger(bench(), 'set-delay', 'start', '60000');
    const cancel = new AbortController();
    const started = client.start(
      'a',
      false,
      work({ signal: cancel.signal, progress: () => storage.calls.length === 4 && cancel.abort() }),
    );
    await expect(started).rejects.toMatchObject({ tag: 'Cancelled' });
    await expectUndone();
  });

  test('at every single cancellation point is undone', async () => {
    for (let point = 1; point <= 5; point += 1) {
      await trigger(bench(), 'set-cancel-trigger', `point ${point}`, String(point));
      await expect(client.start('a', false, work({ debugInfo: `point ${point}` }))).rejects.toMatchObject({
        tag: 'Cancelled',
      });
      await expectUndone();
    }
  });

  test('leaves a disk that storage did not take back to the next start', async () => {
    await trigger(bench(), 'add-fault', 'start', '1', 'IO_error');
    storage.refusals.set('VDI.detach a-hda', ['Internal_error', 'busy']);
    await expect(client.start('a', false, work())).rejects.toEqual(refusal('IO_error'));
    storage.refusals.clear();
    storage.calls.length = 0;
    await client.start('a', false, work());
    expect(storage.calls.slice(0, 2)).toEqual(['VDI.deactivate vbd/1/hda', 'VDI.detach vbd/1/hda']);
  });
});

describe('a disk that is reset at boot', () => {
  beforeEach(async () => {
    await startDaemon(bench());
    const disks = [diskOf('a', 'hda', { persistent: false }), diskOf('a', 'hdb')];
    await client.importMetadata(metadataOf(vmNamed('a'), disks), 'test');
  });
  const epochs = (): readonly string[] => storage.calls.filter((call) => call.includes('epoch'));

  test('begins an epoch before it is attached and ends it after it was detached, once for each power cycle', async () => {
    await begin('a');
    expect(storage.calls.slice(0, 2)).toEqual(['VDI.epoch_begin a-hda', 'VDI.attach3 vbd/1/hda']);
    await client.reboot('a', undefined, work());
    await client.suspend('a', ['Local', bench().path('memory')], work());
    await client.resume('a', ['Local', bench().path('memory')], work());
    expect(epochs()).toEqual(['VDI.epoch_begin a-hda', 'VDI.epoch_end a-hda', 'VDI.epoch_begin a-hda']);
    await client.shutdown('a', undefined, work());
    expect(storage.calls.at(-1)).toBe('VDI.epoch_end a-hda');
  });

  test('ends its epoch when the start fails', async () => {
    await trigger(bench(), 'add-fault', 'start', '1', 'IO_error');
    await expect(client.start('a', false, work())).rejects.toEqual(refusal('IO_error'));
    expect(storage.calls.at(-1)).toBe('VDI.epoch_end a-hda');
  });
});

describe('what a guest does by itself', () => {
  const run = async (vm: ReturnType<typeof vmNamed>): Promise<ReturnType<typeof watchStates>> => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vm, [diskOf('a', 'hda')]), 'test');
    await begin('a');
    const watch = watchStates(client);
    await client.barrier('a');
    return watch;
  };

  test('powering off halts the VM and gives its disks back', async () => {
    const watch = await run(vmNamed('a'));
    const halted = watch.next('a Halted');
    await trigger(bench(), 'guest-poweroff', 'a');
    await halted;
    expect(storage.calls.at(-1)).toBe('VDI.detach vbd/1/hda');
  });

  test('rebooting keeps it running for everybody and gives it a new domain', async () => {
    const watch = await run(vmNamed('a'));
    await trigger(bench(), 'guest-reboot', 'a');
    while (watch.latest.get('a')?.domids[0] !== 2) await watch.next('a Running');
    expect(watch.seen.filter((each) => /^a (Halted|Paused)$/.test(each))).toEqual([]);
  });

  test('crashing follows on_crash', async () => {
    const watch = await run(vmNamed('a', { on_crash: ['Coredump', 'Shutdown'] }));
    const halted = watch.next('a Halted');
    await trigger(bench(), 'guest-crash', 'a');
    await halted;
  });

  test('a crashed guest that is kept for a look cannot run on, and can be ended', async () => {
    const watch = await run(vmNamed('a', { on_crash: ['Coredump', 'Pause'] }));
    const paused = watch.next('a Paused');
    await trigger(bench(), 'guest-crash', 'a');
    await paused;
    await expect(client.unpause('a', work())).rejects.toEqual(refusal('Bad_power_state', 'Paused', 'Paused'));
    await client.shutdown('a', undefined, work());
    expect(await powerOf('a')).toBe('Halted');
  });

  test('a guest that restarts again and again has to wait, and can be ended meanwhile', async () => {
    await startDaemon(bench(), {}, { restarts: { ranMsMin: 60_000, delayMs: 60_000 } });
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    await begin('a');
    const watch = watchStates(client);
    await trigger(bench(), 'guest-reboot', 'a');
    while (watch.latest.get('a')?.domids[0] !== 2) await watch.next('a Running');
    await trigger(bench(), 'guest-reboot', 'a');
    await client.shutdown('a', 5, work());
    expect(await powerOf('a')).toBe('Halted');
  });

  test('a guest that runs reports its agent', async () => {
    const watch = await run(vmNamed('a'));
    expect(watch.latest.get('a')).toMatchObject({ pv_drivers_detected: true });
    expect(watch.latest.get('a')?.guest_agent.get('data/os_name')).toBe('Simulated Linux');
  });
});

describe('devices', () => {
  beforeEach(async () => {
    await startDaemon(bench());
    await client.importMetadata(metadataOf(vmNamed('a'), [driveOf('a', 'hdd')], [cardOf('a', '0')]), 'test');
  });

  test('a disk is plugged into a running VM and unplugged again, with storage around it', async () => {
    await begin('a');
    await client.addVbd(diskOf('a', 'xvdb'));
    expect(await client.statVbd(['a', 'xvdb'])).toMatchObject({ active: false, plugged: false });
    await client.plugVbd(['a', 'xvdb'], work());
    await client.plugVbd(['a', 'xvdb'], work());
    expect(await client.statVbd(['a', 'xvdb'])).toMatchObject({ active: true, plugged: true });
    await expect(client.removeVbd(['a', 'xvdb'])).rejects.toEqual(refusal('Device_is_connected'));
    await client.unplugVbd(['a', 'xvdb'], false, work());
    expect(storage.calls).toEqual([
      'VDI.attach3 vbd/1/xvdb',
      'VDI.activate3 vbd/1/xvdb',
      'VDI.deactivate vbd/1/xvdb',
      'VDI.detach vbd/1/xvdb',
    ]);
    await expect(client.unplugVbd(['a', 'xvdb'], false, work())).rejects.toEqual(
      refusal('Device_not_connected'),
    );
    await client.removeVbd(['a', 'xvdb']);
    expect(await client.statVbd(['a', 'xvdb'])).toBeUndefined();
  });

  test('a disk that the guest refuses is given back', async () => {
    await begin('a');
    await client.addVbd(diskOf('a', 'xvdb'));
    await trigger(bench(), 'add-fault', 'plug', '1', 'IO_error');
    await expect(client.plugVbd(['a', 'xvdb'], work())).rejects.toEqual(refusal('IO_error'));
    expect(storage.calls.at(-1)).toBe('VDI.detach vbd/1/xvdb');
  });

  test('a disk that must stay is unplugged by force only', async () => {
    await client.addVbd(diskOf('a', 'xvda', { unpluggable: false }));
    await begin('a');
    await expect(client.unplugVbd(['a', 'xvda'], false, work())).rejects.toMatchObject({
      tag: 'Device_detach_rejected',
    });
    await client.unplugVbd(['a', 'xvda'], true, work());
    expect(await client.statVbd(['a', 'xvda'])).toMatchObject({ active: false, plugged: false });
  });

  test('a medium goes into a drive and out, whether the VM runs or not', async () => {
    await client.insertVbd(['a', 'hdd'], ['VDI', 'isos/one.iso'], work());
    expect(storage.calls).toEqual([]);
    await begin('a');
    expect(storage.calls).toEqual(['VDI.attach3 vbd/1/hdd read-only', 'VDI.activate3 vbd/1/hdd']);
    await expect(client.insertVbd(['a', 'hdd'], ['VDI', 'isos/two.iso'], work())).rejects.toEqual(
      refusal('Media_present'),
    );
    await client.ejectVbd(['a', 'hdd'], work());
    await expect(client.ejectVbd(['a', 'hdd'], work())).rejects.toEqual(refusal('Media_not_present'));
    await client.insertVbd(['a', 'hdd'], ['VDI', 'isos/two.iso'], work());
    expect(storage.calls.slice(2)).toEqual([
      'VDI.deactivate vbd/1/hdd',
      'VDI.detach vbd/1/hdd',
      'VDI.attach3 vbd/1/hdd read-only',
      'VDI.activate3 vbd/1/hdd',
    ]);
    expect((await client.exportMetadata('a', 'test')).vbds[0]?.backend).toEqual(['VDI', 'isos/two.iso']);
  });

  test('a disk is no drive', async () => {
    await client.addVbd(diskOf('a', 'xvda'));
    await expect(client.ejectVbd(['a', 'xvda'], work())).rejects.toEqual(refusal('Media_not_ejectable'));
  });

  test('a network card is plugged, moved and unplugged', async () => {
    await begin('a');
    await client.addVif(cardOf('a', '1'));
    await client.plugVif(['a', '1'], work());
    await client.moveVif(['a', '1'], 'xenbr1', work());
    expect((await client.exportMetadata('a', 'test')).vifs[1]).toMatchObject({ backend: 'xenbr1' });
    await client.unplugVif(['a', '1'], false, work());
    expect(await client.statVif(['a', '1'])).toEqual({ active: false, plugged: false });
    await client.removeVif(['a', '1']);
    expect(await client.statVif(['a', '1'])).toBeUndefined();
  });

  test('memory and vCPUs change within what the VM allows', async () => {
    await begin('a');
    await client.setVcpus('a', 4, work());
    await expect(client.setVcpus('a', 5, work())).rejects.toEqual(refusal('Invalid_vcpus', 4n));
    await client.setMemoryDynamicRange('a', 1n << 26n, 1n << 27n, work());
    await client.setXsdata('a', new Map([['vm-data/key', 'value']]), work());
    const state = await client.stat('a');
    expect(state).toMatchObject({ vcpu_target: 4, memory_actual: 1n << 27n, memory_target: 1n << 27n });
    expect(state?.xsdata_state).toEqual(new Map([['vm-data/key', 'value']]));
  });

  test('what a guest that runs is asked for is refused of one that does not', async () => {
    await begin('a');
    await client.setShadowMultiplier('a', 2, work());
    await client.sendSysrq('a', 'h', work());
    await client.requestRdp('a', true, work());
    expect(await client.runScript('a', 'true', work())).toEqual({ rc: 0, stdout: '', stderr: '' });
    await client.sendTrigger('a', 'power', work());
    await client.shutdown('a', undefined, work());
    await expect(client.sendTrigger('a', 'power', work())).rejects.toEqual(
      refusal('Bad_power_state', 'Halted', 'Running'),
    );
  });
});

describe('the interface', () => {
  beforeEach(async () => void (await startDaemon(bench())));
  const call = (method: string, args: Parameters<typeof struct>[0] = {}): Promise<Value> =>
    rawClient(bench())(method, struct({ debug_info: 'test', ...args }));

  test('a call that is not known is Unimplemented by name', async () => {
    await expect(call('VM.s3suspend', { id: 'a' })).rejects.toMatchObject({
      error: ['Unimplemented', 'VM.s3suspend'],
    });
  });

  test('a call with a member missing or of the wrong type says which', async () => {
    await expect(call('VM.stat')).rejects.toMatchObject({
      error: ['Internal_error', 'Expected a member "id"'],
    });
    await expect(call('VM.start', { id: [] })).rejects.toMatchObject({
      error: ['Internal_error', 'Expected id to be a string, got a list of 0'],
    });
    await expect(call('VM.import_metadata', { metadata: '{' })).rejects.toMatchObject({
      error: ['Internal_error', expect.stringContaining('Expected')],
    });
  });

  test('a task that was destroyed is not known any more', async () => {
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    const id = await call('VM.start', { id: 'a', paused: false });
    await call('Task.destroy', { id });
    await expect(call('Task.stat', { id })).rejects.toMatchObject({
      error: ['Does_not_exist', ['task', id]],
    });
  });

  test('the daemon says what it is', async () => {
    expect(await client.query()).toMatchObject({ name: 'xenopsd-sim', version: '1.0' });
    const features = ['features', 'features_hvm', 'features_hvm_host'].map((key) => [key, ''] as const);
    expect(await client.hostStat()).toEqual({ version: '4.17.0', features: new Map(features) });
  });

  test('one hundred operations wait for one VM, and the next is refused', async () => {
    await client.importMetadata(metadataOf(vmNamed('a')), 'test');
    const first = await call('VM.delay', { id: 'a', delay: 60 });
    const ids = await Promise.all(Array.from({ length: 101 }, () => call('VM.pause', { id: 'a' })));
    const states = await Promise.all(
      ids.map(async (id) => variantOf(member(await call('Task.stat', { id }), 'state')).tag),
    );
    expect(states.filter((state) => state === 'Pending')).toHaveLength(100);
    expect(states.filter((state) => state === 'Failed')).toHaveLength(1);
    await call('Task.cancel', { id: first });
  });
});
