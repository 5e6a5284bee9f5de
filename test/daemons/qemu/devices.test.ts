// Goal: disks, CD drives and network cards come and go while the guest runs, whatever their files are
//   called, and a guest that does not give a device up neither keeps its storage nor blocks its host.
// Method: a boot sector that releases PCI devices when asked, or does not; what is open is read from the
//   emulator's process.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Guest } from '../../../src/daemons/xenopsd/backend.ts';
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

const LINE = 'ready';

describe.skipIf(noQemu)(`devices of QEMU guests${noQemu ? ` (${noQemu})` : ''}`, { timeout: 60_000 }, () => {
  let host: TestHost;
  let daemon: Daemon;
  beforeEach(async () => {
    host = await testHost();
    daemon = await host.daemon();
  });
  afterEach(() => host.close());

  const run = async (
    devices: 'releases' | 'keeps',
    more: Parameters<TestHost['spec']>[0] = [],
    vifs = [vifOf()],
  ): Promise<Guest> => {
    const path = await host.bootable({ line: LINE, ending: 'poweroff', waitForKey: 'serial', devices });
    const guest = await daemon.backend.create(host.spec([diskOf(path), ...more], vifs), work());
    await daemon.backend.unpause(VM);
    await consoleAt(consolePath(guest)).until(LINE);
    return guest;
  };
  const second = (path: string) => diskOf(path, { id: [VM, 'xvdb'], position: 1 });
  const stillRuns = async (): Promise<void> => {
    const { found } = await host.daemon([vmOf()]);
    expect(found).toMatchObject([{ state: 'running' }]);
  };

  test('a disk is plugged and unplugged, and after that its file is closed', async () => {
    const { backend } = daemon;
    const path = await host.file('data, "hot".raw');
    await run('releases');
    await backend.plugVbd(VM, second(path));
    expect(await host.openFiles()).toContain(path);
    await expect(backend.plugVbd(VM, second(path))).rejects.toThrow('is taken');
    await backend.unplugVbd(VM, [VM, 'xvdb'], false);
    expect(await host.openFiles()).not.toContain(path);
    await backend.plugVbd(VM, second(path));
    const { found } = await host.daemon([vmOf()]);
    expect(found).toMatchObject([{ state: 'running', disks: ['xvda', 'xvdb'], vifs: ['0'] }]);
  });

  test('a disk that the guest keeps is not unplugged, but by force its file is closed', {
    timeout: 90_000,
  }, async () => {
    const { backend } = daemon;
    const path = await host.file('kept.raw');
    await run('keeps');
    await backend.plugVbd(VM, second(path));
    await expect(backend.unplugVbd(VM, [VM, 'xvdb'], false)).rejects.toThrow('did not release xvdb');
    expect(await host.openFiles()).toContain(path);
    await backend.unplugVbd(VM, [VM, 'xvdb'], true);
    expect(await host.openFiles()).not.toContain(path);
    // The dead device is still in its slot, so the position cannot be given to another disk yet.
    await expect(backend.plugVbd(VM, second(path))).rejects.toThrow('did not release xvdb');
    const { found } = await host.daemon([vmOf()]);
    expect(found).toMatchObject([{ state: 'running', disks: ['xvda'] }]);
  });

  test('a disk whose file is missing is refused and leaves its position free', async () => {
    const { backend } = daemon;
    await run('releases');
    await expect(backend.plugVbd(VM, second(`${host.folder}/none.raw`))).rejects.toThrow('No such file');
    await backend.plugVbd(VM, second(await host.file('there.raw')));
  });

  test('a network interface is plugged and unplugged', async () => {
    const { backend } = daemon;
    await run('releases', [], []);
    const vif = vifOf({ id: [VM, '1'], position: 1, carrier: false });
    await backend.plugVif(VM, vif);
    await expect(backend.plugVif(VM, vif)).rejects.toThrow('is taken');
    await backend.unplugVif(VM, vif.id, false);
    await backend.plugVif(VM, vif);
    await stillRuns();
  });

  test('a network interface that the guest keeps is cut off by force', async () => {
    const { backend } = daemon;
    await run('keeps');
    await backend.unplugVif(VM, [VM, '0'], true);
    const { found } = await host.daemon([vmOf()]);
    expect(found).toMatchObject([{ state: 'running', vifs: [] }]);
  });

  test('media of a CD drive change while the guest runs, and survive a restart of the daemon', async () => {
    const { backend } = daemon;
    const one = await host.file('one, "1".iso');
    const two = await host.file('two.iso');
    await run('keeps', [cdOf(one)]);
    expect(await host.openFiles()).toContain(one);
    await backend.changeMedium(VM, [VM, 'xvdd'], cdOf(two));
    expect(await host.openFiles()).not.toContain(one);
    expect(await host.openFiles()).toContain(two);
    const next = (await host.daemon([vmOf()])).backend;
    await next.changeMedium(VM, [VM, 'xvdd'], undefined);
    expect(await host.openFiles()).not.toContain(two);
    await next.changeMedium(VM, [VM, 'xvdd'], cdOf(one));
    await expect(next.changeMedium(VM, [VM, 'xvdd'], cdOf(`${host.folder}/none.iso`))).rejects.toThrow(
      'No such',
    );
    expect(await host.openFiles()).toContain(one);
    await expect(next.changeMedium(VM, [VM, 'xvda'], undefined)).rejects.toThrow('not a CD drive');
  });

  test('an empty CD drive takes a medium', async () => {
    const iso = await host.file('late.iso');
    await run('keeps', [cdOf(undefined)]);
    await daemon.backend.changeMedium(VM, [VM, 'xvdd'], cdOf(iso));
    expect(await host.openFiles()).toContain(iso);
  });

  test('a guest without drivers boots from an emulated disk', async () => {
    const { backend } = daemon;
    const path = await host.bootable({ line: 'emulated', ending: 'halt', waitForKey: 'none' });
    const platformdata = new Map([['qemu-devices', 'emulated']]);
    const guest = await backend.create(host.spec([diskOf(path)], [vifOf()], { platformdata }), work());
    await backend.unpause(VM);
    await consoleAt(consolePath(guest)).until('emulated');
  });

  test('disks, CD drives and cards beyond what the machine has by itself are plugged and come back', async () => {
    const { backend } = daemon;
    const path = await host.file('far.raw');
    const far = diskOf(path, { id: [VM, 'xvdz'], position: 25 });
    const drive = diskOf(undefined, { id: [VM, 'xvdy'], position: 24, ty: 'CDROM', mode: 'ReadOnly' });
    const card = vifOf({ id: [VM, '9'], position: 9, mac: '02:00:00:00:00:09' });
    await run('keeps');
    await backend.plugVbd(VM, far);
    await backend.plugVbd(VM, drive);
    await backend.plugVif(VM, card);
    const medium = await host.file('medium.iso');
    await backend.changeMedium(VM, [VM, 'xvdy'], { ...drive, path: medium });
    await backend.changeMedium(VM, [VM, 'xvdy'], undefined);
    await backend.unplugVbd(VM, [VM, 'xvdz'], false);
    expect(await host.openFiles()).not.toContain(path);
    const { found } = await host.daemon([vmOf()]);
    expect(found).toMatchObject([{ state: 'running', disks: ['xvda', 'xvdy'], vifs: ['0', '9'] }]);
  });

  test('a plugged card is moved, unplugged from its cable and locked where it reaches nothing', async () => {
    const { backend } = daemon;
    await run('keeps');
    const locked = vifOf({ locking_mode: { ipv4: ['192.0.2.7'], ipv6: [] } });
    await backend.moveVif(VM, vifOf(), 'no-such-bridge');
    for (const card of [vifOf({ locking_mode: 'Disabled' }), locked, vifOf()])
      await backend.lockVif(VM, card);
    await stillRuns();
  });

  test('what cannot be plugged is refused by its reason', async () => {
    const { backend } = daemon;
    await run('keeps');
    const floppy = diskOf('/x', { id: [VM, 'fda'], position: 5, ty: 'Floppy' });
    await expect(backend.plugVbd(VM, floppy)).rejects.toThrow('floppy');
    const far = diskOf('/x', { id: [VM, 'xvdz'], position: 255 });
    await expect(backend.plugVbd(VM, far)).rejects.toThrow('positions are 0 to 254');
    const relative = diskOf('x', { id: [VM, 'xvdb'], position: 1 });
    await expect(backend.plugVbd(VM, relative)).rejects.toThrow('absolute path');
    await expect(backend.unplugVbd(VM, [VM, 'none'], false)).rejects.toThrow('no disk none');
    await expect(backend.plugVif(VM, vifOf({ id: [VM, '2'], position: 2, mac: 'x,y' }))).rejects.toThrow(
      'MAC',
    );
    await stillRuns();
  });
});
