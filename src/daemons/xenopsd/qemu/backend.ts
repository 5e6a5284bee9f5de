// Guests as QEMU processes. Each runs in a session of its own and outlives this daemon, which keeps no
// more about it than one folder; after a restart the folders tell what runs and the emulators tell how.
import { join } from 'node:path';
import type { Disk } from '../../../drivers/disk.ts';
import type { GuestKernels } from '../../../drivers/guest-kernels.ts';
import { LIVE_DISKS } from '../../../drivers/hypervisor/hypervisor.ts';
import type { Network } from '../../../drivers/network.ts';
import type { Processes } from '../../../drivers/processes.ts';
import type { Clock, Random } from '../../../std/clock.ts';
import type { Log } from '../../../std/log.ts';
import { isOwnRepository } from '../../../std/repository-folder.ts';
import type { Backend, Report } from '../backend.ts';
import { requestRdp, runScript, sendSysrq, sendTrigger } from './asking.ts';
import { DISKS_MAX, VIFS_MAX } from './devices.ts';
import { type Emulator, findEmulator, findFirmware, processorOf } from './emulator.ts';
import { checkStateFolder, END_MS_MAX, folderOf, waitForEnd } from './folder.ts';
import { groupOfGuests } from './guest-users.ts';
import { changeMedium, lockVif, moveVif, plugVbd, plugVif, unplugVbd, unplugVif } from './hotplug.ts';
import { grow, imageOf, mirror, overlay } from './images.ts';
import { keptInFolder } from './kept.ts';
import { launch } from './launch.ts';
import { describe, note, type QemuGuest, type QemuHost, release, removeRemains } from './live.ts';
import { MEMORY_MIB_MIN, VCPUS_MAX } from './machine.ts';
import { arrive, receive, send } from './migrate.ts';
import { recoverGuests } from './recover.ts';
import { setMemory, setVcpus } from './resizing.ts';
import { restore, save } from './suspend.ts';
import { hasTpms } from './tpm.ts';

export interface QemuOptions {
  /** Folder of the guests' folders. Its path is short, because Unix sockets in it must have short ones. */
  readonly state: string;
  readonly disk: Disk;
  readonly processes: Processes;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Checked once more here, whatever the toolstack let through. */
  readonly kernels: GuestKernels;
  /** First of the users that guests run as. Absent: they run as this daemon, as where it is not root. */
  readonly firstUser?: number;
  /** Holds folders of disks that may be plugged into any guest. */
  readonly dataFolder?: string;
  /** Name or path of the emulator. */
  readonly emulator?: string;
  /** How long a guest may take to give up a device that is unplugged. */
  readonly releaseMsMax?: number;
}

/** Linux takes a second or two; one that is busy booting takes longer. */
const RELEASE_MS_MAX = 10_000;
const CPU_INFO = '/proc/cpuinfo';
const CPU_INFO_MAX = 16 * 1024 * 1024;

/**
 * The machine has a power button, and saving its memory is the emulator's work: no guest needs tools for it.
 */
const guestFeatures: ReadonlyMap<string, string> = new Map([
  ['control/feature-poweroff', '1'],
  ['control/feature-reboot', '1'],
  ['control/feature-suspend', '1'],
  ['control/feature-vcpu-hotplug', '1'],
]);

export const qemuBackend = (options: QemuOptions): Backend => {
  checkStateFolder(options.state);
  const guests = new Map<string, QemuGuest>();
  let report: Report = () => {};
  const host: QemuHost = {
    ...options,
    releaseMsMax: options.releaseMsMax ?? RELEASE_MS_MAX,
    diskFolders: () => repositoriesIn(options.disk, options.dataFolder),
    emulator: onceFound(async () => {
      const { disk, processes, emulator = 'qemu-system-x86_64', log, firstUser: first } = options;
      const users = first === undefined ? undefined : { first, gid: await groupOfGuests(disk, first) };
      const processors = await disk.readText(CPU_INFO, CPU_INFO_MAX);
      return findEmulator({ processes, file: emulator, log, processors, users });
    }),
    onEnd: (vm, what) => report(vm, what),
    onAgent: (vm, guestAgent) => report(vm, { guestAgent }),
  };

  const guestOf = (vm: string): QemuGuest => {
    const guest = guests.get(vm);
    if (!guest) throw new Error(`guest ${vm} does not run`);
    return guest;
  };
  const adopt = (guest: QemuGuest): QemuGuest => {
    guests.set(guest.record.vm, guest);
    return guest;
  };
  /** Asks the emulator to end, and makes it end when it does not. */
  const end = async (vm: string): Promise<void> => {
    const guest = guests.get(vm);
    if (guest) await quit(host, guest);
    guests.delete(vm);
    await removeRemains(host, folderOf(host.state, vm));
  };

  return {
    name: 'xenopsd-qemu',
    version: '1',
    features: ['suspend', 'hotplug', 'migrate', LIVE_DISKS],
    capabilities: () => capabilitiesOf(host.disk),
    guestFeatures,
    recover: async (known, reports) => {
      report = reports;
      const found = await recoverGuests(host, new Set(known.map((vm) => vm.id)));
      for (const { guest } of found) adopt(guest);
      return found.map(({ guest, state }) => describe(guest, state));
    },
    create: async (spec, work) => {
      const guest = adopt(await launch(host, spec, work, await host.emulator()));
      guest.link.speak();
      return describe(guest, 'paused');
    },
    unpause: async (vm) => {
      const guest = guestOf(vm);
      await note(host, guest, { wanted: 'running' });
      await guest.link.qmp().execute('cont');
    },
    pause: async (vm) => {
      const guest = guestOf(vm);
      await note(host, guest, { wanted: 'paused' });
      await guest.link.qmp().execute('stop');
    },
    // The machine has a power button and no reset button that asks: a guest without an agent that is
    // to reboot is asked to power off, and starting it again is what makes it a reboot.
    ask: async (vm, what) => {
      const { agent, link } = guestOf(vm);
      if (await agent?.ask(what)) return;
      await link.qmp().execute('system_powerdown');
    },
    destroy: end,
    suspend: async (vm, path, work) => {
      const guest = guestOf(vm);
      guest.link.hush();
      try {
        await save(host, guest, path, work);
      } catch (error) {
        guest.link.speak();
        throw error;
      }
      await work.asleep?.();
      await end(vm);
    },
    kept: (vm) => keptInFolder(host.disk, folderOf(host.state, vm)),
    resume: async (spec, path, work) => {
      const guest = adopt(await restore(host, spec, path, work));
      guest.link.speak();
      return describe(guest, 'paused');
    },
    send: (vm, write, work) => send(host, guestOf(vm), write, work),
    receive: async (spec, pieces, work) => describe(adopt(await receive(host, spec, pieces, work)), 'paused'),
    arrive: async (vm) => {
      const guest = guestOf(vm);
      await arrive(host, guest);
      guest.link.speak();
    },
    plugVbd: (vm, disk) => plugVbd(host, guestOf(vm), disk),
    unplugVbd: (vm, id, force) => unplugVbd(host, guestOf(vm), id, force),
    changeMedium: (vm, id, disk) => changeMedium(host, guestOf(vm), id, disk),
    overlayVbd: (vm, disk) => overlay(host, guestOf(vm), disk),
    mirrorVbd: (vm, _, into, work) => mirror(host, guestOf(vm), into, work),
    imageOf: (vm, id) => imageOf(host, guestOf(vm), id),
    growVbd: (vm, id, sizeBytes) => grow(guestOf(vm), id, sizeBytes),
    plugVif: (vm, vif) => plugVif(host, guestOf(vm), vif),
    unplugVif: (vm, id, force) => unplugVif(host, guestOf(vm), id, force),
    moveVif: (vm, vif, bridge) => moveVif(host, guestOf(vm), vif, bridge),
    lockVif: (vm, vif) => lockVif(host, guestOf(vm), vif),
    setVcpus: (vm, count) => setVcpus(host, guestOf(vm), count),
    setMemory: (vm, _minimum, maximum) => setMemory(host, guestOf(vm), maximum),
    sendSysrq: (vm, key) => sendSysrq(guestOf(vm), key),
    requestRdp: async (vm, enabled) => requestRdp(guestOf(vm), enabled),
    sendTrigger: (vm, trigger) => sendTrigger(guestOf(vm), trigger),
    runScript: async (vm, script, signal) => runScript(guestOf(vm), script, signal),
    hostStat: async () => {
      const emulator = await host.emulator().catch((error: unknown) => {
        host.log.warn({ error }, 'guests cannot run here');
        return undefined;
      });
      return { ...(await cpus(host.disk)), ...toldOf(emulator) };
    },
    close: async () => {
      await Promise.all([...guests.values()].map(release));
      guests.clear();
    },
  };
};

/** More of them are beyond the reach of guests that started without a disk of theirs. */
const REPOSITORIES_MAX = 64;

const repositoriesIn = async (disk: Disk, folder: string | undefined): Promise<readonly string[]> => {
  if (folder === undefined) return [];
  const found = (await disk.list(folder)).filter(
    ({ name, kind }) => kind === 'folder' && isOwnRepository(name),
  );
  return found.slice(0, REPOSITORIES_MAX).map(({ name }) => join(folder, name));
};

const capabilitiesOf = async (disk: Disk): ReturnType<Backend['capabilities']> => ({
  vifPositions: VIFS_MAX,
  vbdPositions: DISKS_MAX,
  vcpus: VCPUS_MAX,
  memoryBytesMin: Number(MEMORY_MIB_MIN << 20n),
  uefi: await findFirmware(disk).then(
    () => true,
    () => false,
  ),
  secureBoot: false,
  vtpm: await hasTpms(disk),
  floppies: false,
  ballooning: true,
  sharedPositions: false,
});

const quit = async (host: QemuHost, guest: QemuGuest): Promise<void> => {
  const { pid, name } = guest.record;
  guest.link.hush();
  try {
    await guest.link.qmp().execute('quit', undefined, END_MS_MAX);
    await waitForEnd(host.disk, host.clock, pid, name, END_MS_MAX);
  } catch (error) {
    host.log.debug({ error, vm: guest.record.vm }, 'the emulator does not end by itself');
  }
  await release(guest);
};

const toldOf = (emulator: Emulator | undefined) => {
  if (emulator === undefined) return { hypervisorVersion: 'QEMU (not found)', features: [] };
  const { argument, features } = processorOf(emulator);
  const hypervisorVersion = `QEMU ${emulator.version} (${emulator.accelerator}, ${argument})`;
  return { hypervisorVersion, features };
};

/** Remembers what was found, but not that nothing was. */
const onceFound = (find: () => Promise<Emulator>): (() => Promise<Emulator>) => {
  let found: Promise<Emulator> | undefined;
  return () => {
    found ??= find().catch((error) => {
      found = undefined;
      throw error;
    });
    return found;
  };
};

const cpus = async (disk: Disk): Promise<{ cpuCount: number; cpuModel: string }> => {
  const text = await disk.readText(CPU_INFO, CPU_INFO_MAX);
  const cpuModel = /^model name\s*:\s*(.+)$/m.exec(text)?.[1]?.trim() ?? 'unknown';
  return { cpuCount: Math.max(1, text.match(/^processor\s*:/gm)?.length ?? 0), cpuModel };
};
