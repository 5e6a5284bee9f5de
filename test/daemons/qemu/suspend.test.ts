// Goal: a suspended guest goes on where it was, a suspend that fails or is aborted costs it nothing, and
//   what is not a whole image is never taken for one.
// Method: a boot sector that waits for a key is saved to a file and restored from it; files are damaged.
import { open, readFile, truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Vm } from '../../../src/drivers/hypervisor/hypervisor.ts';
import {
  cdOf,
  consoleAt,
  consolePath,
  type Daemon,
  diskOf,
  noQemu,
  type TestHost,
  testHost,
  VM,
  vifOf,
  vmOf,
  work,
} from './guests.ts';

const LINE = 'before the suspend';

describe.skipIf(noQemu)(`suspending QEMU guests${noQemu ? ` (${noQemu})` : ''}`, { timeout: 60_000 }, () => {
  let host: TestHost;
  let daemon: Daemon;
  beforeEach(async () => {
    host = await testHost();
    daemon = await host.daemon();
  });
  afterEach(() => host.close());

  const spec = async (vm: Partial<Vm> = {}) => {
    const path = await host.bootable({ line: LINE, ending: 'poweroff', waitForKey: 'serial' });
    const data = diskOf(await host.file('data.raw'), { id: [VM, 'xvdb'], position: 1 });
    return host.spec([diskOf(path), data, cdOf(undefined)], [vifOf()], vm);
  };
  const run = async (vm: Partial<Vm> = {}) => {
    const wanted = await spec(vm);
    const guest = await daemon.backend.create(wanted, work());
    await daemon.backend.unpause(VM);
    const client = consoleAt(consolePath(guest));
    await client.until(LINE);
    return wanted;
  };

  test('a suspended guest has no emulator, and once resumed it still waits for its key', async () => {
    const { backend, nextReport, reports } = daemon;
    const wanted = await run();
    const image = await host.file('saved, "state"', '');
    const fractions: number[] = [];
    await backend.suspend(VM, image, { ...work(), progress: (fraction) => fractions.push(fraction) });
    expect(await host.emulators()).toEqual([]);
    const guest = await backend.resume(wanted, image, {
      ...work(),
      progress: (fraction) => fractions.push(fraction),
    });
    expect(guest).toMatchObject({ state: 'paused', disks: ['xvda', 'xvdb', 'xvdd'], vifs: ['0'] });
    expect(fractions.at(-1)).toBe(1);
    expect(fractions.every((fraction) => fraction >= 0 && fraction <= 1)).toBe(true);
    await backend.unpause(VM);
    const client = consoleAt(consolePath(guest));
    client.send('x');
    expect((await nextReport()).what).toBe('poweroff');
    expect(reports).toHaveLength(1);
  });

  test('devices that were plugged while the guest ran are where they were after a resume', async () => {
    const { backend, nextReport } = daemon;
    // With emulated disks, one that is plugged later is not where it would be had it been there first.
    const wanted = await run({ platformdata: new Map([['qemu-devices', 'emulated']]) });
    const vif = vifOf({ id: [VM, '1'], position: 1, mac: '02:00:00:00:00:02' });
    await backend.plugVif(VM, vif);
    const disk = diskOf(await host.file('late.raw'), { id: [VM, 'xvdc'], position: 2 });
    await backend.plugVbd(VM, disk);
    const image = await host.file('saved', '');
    await backend.suspend(VM, image, work());
    const guest = await backend.resume(
      { ...wanted, vifs: [...wanted.vifs, vif], disks: [disk, ...wanted.disks] },
      image,
      work(),
    );
    await backend.unpause(VM);
    consoleAt(consolePath(guest)).send('x');
    expect((await nextReport()).what).toBe('poweroff');
  });

  test('a guest whose suspend is aborted, or has nowhere to go, runs on', async () => {
    const { backend } = daemon;
    await run();
    const image = await host.file('saved', '');
    const stop = new AbortController();
    const stopping = { signal: stop.signal, progress: () => stop.abort(new Error('not now')) };
    const aborted = backend.suspend(VM, image, stopping);
    stop.abort(new Error('not now'));
    await expect(aborted).rejects.toThrow('not now');
    await expect(backend.suspend(VM, '/dev/full', work())).rejects.toThrow('ENOSPC');
    await expect(backend.suspend(VM, `${host.folder}/none`, work())).rejects.toThrow('ENOENT');
    await expect(backend.resume(await spec(), image, work())).rejects.toThrow('no suspended guest');
    const next = await host.daemon([vmOf()]);
    expect(next.found).toMatchObject([{ state: 'running' }]);
    consoleAt(consolePath(next.found[0]!)).send('x');
    expect((await next.nextReport()).what).toBe('poweroff');
  });

  test('what is no image, is cut short or does not fit the guest is refused and leaves nothing', async () => {
    const { backend } = daemon;
    const wanted = await run();
    const image = await host.file('saved', '');
    await backend.suspend(VM, image, work());
    const bytes = await readFile(image);
    await writeFile(image, 'something else');
    await expect(backend.resume(wanted, image, work())).rejects.toThrow('no suspended guest');
    await writeFile(image, bytes);
    await truncate(image, bytes.length - 4096);
    await expect(backend.resume(wanted, image, work())).rejects.toThrow('cut short');
    await writeFile(image, bytes);
    await expect(
      backend.resume({ ...wanted, disks: wanted.disks.slice(0, 1) }, image, work()),
    ).rejects.toThrow();
    const damaged = await open(image, 'r+');
    await damaged.write(Buffer.alloc(4096, 0xff), 0, 4096, 64 * 1024);
    await damaged.close();
    await expect(backend.resume(wanted, image, work())).rejects.toThrow(/the emulator/);
    expect(await host.emulators()).toEqual([]);
    await writeFile(image, bytes);
    expect((await backend.resume(wanted, image, work())).state).toBe('paused');
  });
});
