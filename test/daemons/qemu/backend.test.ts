// Goal: guests are real: they boot, print, take keys, end by themselves or are ended, and every end is
//   reported for what it was, also when no daemon was there to see it.
// Method: a boot sector of our own as the guest, a real QEMU, a daemon that is closed and started again
//   on the same state folder.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Vm } from '../../../src/drivers/hypervisor/hypervisor.ts';
import {
  consoleAt,
  consolePath,
  diskOf,
  noQemu,
  noUefi,
  type TestHost,
  testHost,
  VM,
  vmOf,
  work,
} from './guests.ts';

describe.skipIf(noQemu)(`guests of QEMU${noQemu ? ` (${noQemu})` : ''}`, { timeout: 60_000 }, () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await testHost();
  });
  afterEach(() => host.close());

  const waiting = { line: 'Hello from the guest', ending: 'poweroff', waitForKey: 'serial' } as const;

  test('a guest boots from its disk, is seen by a late console and powers off on a key', async () => {
    const { backend, nextReport, reports } = await host.daemon();
    const guest = await backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    expect(guest).toMatchObject({
      vm: VM,
      domid: 1,
      state: 'paused',
      disks: ['xvda'],
      vifs: [],
      memoryActual: 64n << 20n,
    });
    await backend.unpause(VM);
    const early = consoleAt(consolePath(guest));
    await early.until(waiting.line);
    const late = consoleAt(consolePath(guest));
    await late.until(waiting.line);
    late.send('x');
    expect(await nextReport()).toEqual({ vm: VM, what: 'poweroff' });
    await backend.destroy(VM);
    expect(await host.emulators()).toEqual([]);
    expect(await readdir(join(host.folder, 'state'))).toEqual([]);
    await backend.destroy(VM);
    expect(reports).toHaveLength(1);
  });

  test('a guest runs on through a restart of the daemon, which then shows its past and takes its keys', async () => {
    const first = await host.daemon();
    await first.backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    await first.backend.unpause(VM);
    const [pid] = await host.emulators();
    const second = await host.daemon([vmOf()]);
    expect(second.found).toMatchObject([{ vm: VM, state: 'running', disks: ['xvda'] }]);
    expect(await host.emulators()).toEqual([pid]);
    const client = consoleAt(consolePath(second.found[0]!));
    await client.until(waiting.line);
    const third = await host.daemon([vmOf()]);
    const again = consoleAt(consolePath(third.found[0]!));
    await again.until(waiting.line);
    again.send('x');
    expect((await third.nextReport()).what).toBe('poweroff');
  });

  test('a guest that resets itself is reported as rebooting and waits to be destroyed', async () => {
    const { backend, nextReport } = await host.daemon();
    const path = await host.bootable({ line: 'again', ending: 'reboot', waitForKey: 'none' });
    await backend.create(host.spec([diskOf(path)]), work());
    await backend.unpause(VM);
    expect((await nextReport()).what).toBe('reboot');
    expect(await host.emulators()).toHaveLength(1);
    await backend.destroy(VM);
    expect(await host.emulators()).toEqual([]);
  });

  test.each(['poweroff', 'reboot'] as const)(
    'a %s while no daemon was there is reported by the next',
    async (ending) => {
      const { backend, found: none } = await host.daemon();
      expect(none).toEqual([]);
      const guest = await backend.create(
        host.spec([diskOf(await host.bootable({ ...waiting, ending }))]),
        work(),
      );
      await backend.unpause(VM);
      const client = consoleAt(consolePath(guest));
      await client.until(waiting.line);
      await backend.close();
      // The emulator's own serial socket: nobody else serves the console now.
      const direct = consoleAt(consolePath(guest).replace('console.sock', 'serial.sock'));
      direct.send('x');
      await host.logged('"SHUTDOWN"');
      direct.end();
      const next = await host.daemon([vmOf()]);
      expect(next.found).toMatchObject([{ vm: VM, state: 'paused' }]);
      expect(await next.nextReport()).toEqual({ vm: VM, what: ending });
    },
  );

  test('an emulator that is killed is a crash, and destroying what is left is success', async () => {
    const { backend, nextReport } = await host.daemon();
    await backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    await backend.unpause(VM);
    const [pid] = await host.emulators();
    process.kill(pid!, 'SIGKILL');
    expect(await nextReport()).toEqual({ vm: VM, what: 'crash' });
    await backend.destroy(VM);
    expect(await readdir(join(host.folder, 'state'))).toEqual([]);
  });

  test('an emulator that was killed while no daemon was there is a crash too', async () => {
    const { backend } = await host.daemon();
    await backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    await backend.close();
    const [pid] = await host.emulators();
    process.kill(pid!, 'SIGKILL');
    await host.ended(pid!);
    const next = await host.daemon([vmOf()]);
    expect(next.found).toEqual([]);
    expect(await next.nextReport()).toEqual({ vm: VM, what: 'crash' });
    await next.backend.destroy(VM);
    expect(await readdir(join(host.folder, 'state'))).toEqual([]);
  });

  test('a guest whose start a daemon did not live to finish is removed by the next', async () => {
    const { backend } = await host.daemon();
    await backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    await host.editRecord(({ pid, ...unfinished }) => unfinished);
    const next = await host.daemon([vmOf()]);
    expect(next.found).toEqual([]);
    expect(next.reports).toEqual([]);
    expect(await host.emulators()).toEqual([]);
    expect(await readdir(join(host.folder, 'state'))).toEqual([]);
  });

  test('a guest that stands still because a daemon died while it suspended it goes on', async () => {
    const { backend } = await host.daemon();
    await backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    await host.editRecord((record) => ({ ...record, wanted: 'running' }));
    const next = await host.daemon([vmOf()]);
    expect(next.found).toMatchObject([{ state: 'running' }]);
    await consoleAt(consolePath(next.found[0]!)).until(waiting.line);
  });

  test('a process that has the number of an emulator but is another is left alone', async () => {
    const { backend } = await host.daemon();
    await backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    await backend.close();
    const [pid] = await host.emulators();
    process.kill(pid!, 'SIGKILL');
    await host.ended(pid!);
    await host.editRecord((record) => ({ ...record, pid: process.pid }));
    const next = await host.daemon([vmOf()]);
    expect(next.reports).toEqual([{ vm: VM, what: 'crash' }]);
    await next.backend.destroy(VM);
    expect(await readdir(join(host.folder, 'state'))).toEqual([]);
  });

  test('the screen is served on the socket that the guest tells of', async () => {
    const { backend } = await host.daemon();
    const guest = await backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    const screen = guest.consoles.find((one) => one.protocol === 'Rfb');
    await consoleAt(screen?.path ?? '').until('RFB 003.');
  });

  test.skipIf(noUefi)(`UEFI starts and says what it boots${noUefi ? ` (${noUefi})` : ''}`, async () => {
    const { backend } = await host.daemon();
    const boot = { ...vmOf().boot, firmware: 'Uefi' } as Vm['boot'];
    const spec = host.spec([diskOf(await host.file('empty.raw'))], [], {
      boot,
      memory_static_max: 256n << 20n,
    });
    const guest = await backend.create(spec, work());
    await backend.unpause(VM);
    await consoleAt(consolePath(guest)).until('BdsDxe');
  });

  test('a guest that nobody knows any more is ended by the next daemon', async () => {
    const { backend } = await host.daemon();
    await backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    const next = await host.daemon([]);
    expect(next.found).toEqual([]);
    expect(await host.emulators()).toEqual([]);
  });

  test('pressing the power button is asking, which the guest may do or not do', async () => {
    const { backend, nextReport } = await host.daemon();
    const guest = await backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    await backend.unpause(VM);
    await consoleAt(consolePath(guest)).until(waiting.line);
    await backend.ask(VM, 'poweroff');
    expect((await nextReport()).what).toBe('poweroff');
  });

  test('a paused guest takes its key only after it runs again, also under another daemon', async () => {
    const first = await host.daemon();
    const guest = await first.backend.create(host.spec([diskOf(await host.bootable(waiting))]), work());
    await first.backend.unpause(VM);
    await consoleAt(consolePath(guest)).until(waiting.line);
    await first.backend.pause(VM);
    const { backend, found, reports, nextReport } = await host.daemon([vmOf()]);
    expect(found[0]?.state).toBe('paused');
    const client = consoleAt(consolePath(guest));
    await client.until(waiting.line);
    client.send('x');
    await backend.pause(VM);
    expect(reports).toEqual([]);
    await backend.unpause(VM);
    expect((await nextReport()).what).toBe('poweroff');
  });

  test('a guest without a disk that exists fails with what the emulator said, and leaves nothing', async () => {
    const { backend } = await host.daemon();
    const spec = host.spec([diskOf(join(host.folder, 'missing.raw'))]);
    await expect(backend.create(spec, work())).rejects.toThrow(/missing\.raw.*No such file/);
    expect(await host.emulators()).toEqual([]);
    expect(await readdir(join(host.folder, 'state'))).toEqual([]);
  });

  test('one guest is not started twice, and neither are two from one disk', async () => {
    const { backend } = await host.daemon();
    const path = await host.bootable(waiting);
    await backend.create(host.spec([diskOf(path)]), work());
    await expect(backend.create(host.spec([diskOf(path)]), work())).rejects.toThrow('runs already');
    const other = host.spec([diskOf(path)], [], { id: '11111111-5d0f-4a53-9e53-0b1f9a1f2c11' });
    await expect(backend.create(other, work())).rejects.toThrow(/lock/);
    expect(await host.emulators()).toHaveLength(1);
  });

  test('an aborted start leaves nothing', async () => {
    const { backend } = await host.daemon();
    const stop = new AbortController();
    stop.abort(new Error('no longer wanted'));
    const spec = host.spec([diskOf(await host.bootable(waiting))]);
    await expect(backend.create(spec, work(stop.signal))).rejects.toThrow('no longer wanted');
    expect(await host.emulators()).toEqual([]);
  });

  test('the host is described by its processor and its emulator', async () => {
    const { backend } = await host.daemon();
    const { cpuCount, cpuModel, hypervisorVersion, features } = await backend.hostStat();
    expect(cpuCount).toBeGreaterThan(0);
    expect(cpuModel).not.toBe('');
    expect(hypervisorVersion).toMatch(/^QEMU \d+\.\d+\.\d+ \((kvm, host|tcg, max)[a-z,=-]*\)$/);
    // Every x86 processor of our days has a floating-point unit.
    expect((features[0] ?? 0) & 1).toBe(1);
  });
});
