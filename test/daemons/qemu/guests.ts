// What the tests of QEMU guests share: a machine in a temporary folder, and guests to run on it.
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend, BackendWork, GuestDisk, GuestSpec } from '../../../src/daemons/xenopsd/backend.ts';
import { qemuBackend } from '../../../src/daemons/xenopsd/qemu/backend.ts';
import { findFirmware } from '../../../src/daemons/xenopsd/qemu/emulator.ts';
import { FIRST_USER } from '../../../src/daemons/xenopsd/qemu/guest-users.ts';
import { guestKernelsIn } from '../../../src/drivers/guest-kernels.ts';
import type { Vbd, Vif, Vm } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../../src/drivers/node/disk.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';
import { nodeProcesses } from '../../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../../src/drivers/node/random.ts';
import { silentLog } from '../../../src/std/log.ts';
import { type BootSector, bootSector } from './boot-sector.ts';

/** Why guests cannot run here, or undefined. */
export const noQemu = spawnSync('qemu-system-x86_64', ['--version']).error
  ? 'qemu-system-x86_64 is not installed'
  : undefined;

export const noUefi = await findFirmware(nodeDisk).then(
  () => undefined,
  (error: Error) => error.message,
);

export const VM = '6f2d3a52-5d0f-4a53-9e53-0b1f9a1f2c11';

export const vmOf = (changes: Partial<Vm> = {}): Vm => ({
  id: VM,
  name: 'a, "quoted" name',
  xsdata: new Map(),
  platformdata: new Map(),
  bios_strings: new Map([['system-manufacturer', 'Comma, Inc. "quoted"']]),
  boot: {
    type: 'HVM',
    hap: true,
    shadow_multiplier: 1,
    timeoffset: '0',
    video_mib: 8,
    video: 'Standard_VGA',
    acpi: true,
    serial: 'pty',
    keymap: 'en-us',
    boot_order: 'cd',
    firmware: 'Bios',
  },
  memory_static_max: 64n << 20n,
  memory_dynamic_max: 64n << 20n,
  memory_dynamic_min: 64n << 20n,
  vcpu_max: 2,
  vcpus: 1,
  scheduler_params: { affinity: [] },
  on_crash: ['Start'],
  on_shutdown: ['Shutdown'],
  on_reboot: ['Start'],
  on_softreboot: ['Softreboot'],
  has_vendor_device: false,
  ...changes,
});

export const diskOf = (path: string | undefined, changes: Partial<Vbd> = {}): GuestDisk => ({
  path,
  format: 'raw',
  vbd: {
    id: [VM, 'xvda'],
    position: 0,
    mode: 'ReadWrite',
    ty: 'Disk',
    unpluggable: true,
    persistent: true,
    ...changes,
  },
});

export const cdOf = (path: string | undefined): GuestDisk =>
  diskOf(path, { id: [VM, 'xvdd'], position: 3, ty: 'CDROM', mode: 'ReadOnly' });

export const vifOf = (changes: Partial<Vif> = {}): Vif => ({
  id: [VM, '0'],
  position: 0,
  mac: '02:00:00:00:00:01',
  carrier: true,
  mtu: 1500,
  backend: 'xenbr0',
  other_config: new Map(),
  locking_mode: 'Unlocked',
  ...changes,
});

export const work = (signal = new AbortController().signal): BackendWork => ({ signal, progress: () => {} });

type Reported = { readonly vm: string; readonly what: unknown };

export interface Daemon {
  readonly backend: Backend;
  readonly reports: readonly Reported[];
  /** The next report, or the first one that was not taken yet. */
  nextReport(): Promise<Reported>;
}

export interface TestHost {
  readonly folder: string;
  /** A new daemon on the same state; the one before is closed. */
  daemon(
    known?: readonly Vm[],
  ): Promise<Daemon & { readonly found: Awaited<ReturnType<Backend['recover']>> }>;
  file(name: string, content?: Uint8Array | string): Promise<string>;
  bootable(guest: BootSector, name?: string): Promise<string>;
  spec(disks: readonly GuestDisk[], vifs?: readonly Vif[], vm?: Partial<Vm>): GuestSpec;
  /** Process ids of the emulators of this host, and of no other. */
  emulators(): Promise<number[]>;
  /** The files that the guests' emulators have open. */
  openFiles(): Promise<string[]>;
  /** Resolves once an emulator has written `text` to its event log. */
  logged(text: string): Promise<void>;
  ended(pid: number): Promise<void>;
  /** Changes what the closed daemon noted about the one guest, as one that died earlier would have left it. */
  editRecord(change: (record: Record<string, unknown>) => Record<string, unknown>): Promise<void>;
  close(): Promise<void>;
}

/** Process ids of the emulators whose guests have their folders in `folder`. */
export const emulatorsIn = async (folder: string): Promise<number[]> => {
  const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger);
  const own = await Promise.all(
    pids.map(async (pid) => {
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
      return (
        cwd.startsWith(folder) && (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')) !== ''
      );
    }),
  );
  return pids.filter((_, index) => own[index]);
};

/** `kernels` is what the host offers as guest kernels, a folder in its own; without it nothing is. */
export const testHost = async (kernels?: string): Promise<TestHost> => {
  const folder = await mkdtemp(join(tmpdir(), 'xq-'));
  const state = join(folder, 'state');
  const images = join(folder, 'images, "quoted"');
  await mkdir(images);
  let current: Backend | undefined;

  const emulators = (): Promise<number[]> => emulatorsIn(state);

  return {
    folder,
    emulators,
    daemon: async (known = []) => {
      await current?.close();
      const reports: Reported[] = [];
      const waiting: ((report: Reported) => void)[] = [];
      let taken = 0;
      const backend = backendAt(state, undefined, kernels && join(folder, kernels));
      current = backend;
      const found = await backend.recover(known, (vm, what) => {
        reports.push({ vm, what });
        if (waiting.length > 0) taken += 1;
        waiting.shift()?.({ vm, what });
      });
      const nextReport = (): Promise<Reported> => {
        const there = reports[taken];
        if (!there) return new Promise((resolve) => waiting.push(resolve));
        taken += 1;
        return Promise.resolve(there);
      };
      return { backend, found, reports, nextReport };
    },
    file: async (name, content = new Uint8Array(1024 * 1024)) => {
      const path = join(images, name);
      await writeFile(path, content);
      return path;
    },
    bootable: async (guest, name = 'boot, "disk".raw') => {
      const path = join(images, name);
      await writeFile(path, bootSector(guest));
      return path;
    },
    spec: (disks, vifs = [], vm = {}) => ({ domid: 1, vm: vmOf(vm), disks, vifs }),
    openFiles: async () => {
      const pids = await emulators();
      const open = pids.map(async (pid) => {
        const names = await readdir(`/proc/${pid}/fd`);
        return Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')));
      });
      return (await Promise.all(open)).flat();
    },
    logged: async (text) => {
      const [guest = ''] = await readdir(state);
      const log = join(state, guest, 'qmp.log');
      while (!(await readFile(log, 'utf8')).includes(text)) await turn();
    },
    editRecord: async (change) => {
      await current?.close();
      const [guest = ''] = await readdir(state);
      const path = join(state, guest, 'guest.json');
      await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')))));
    },
    ended: async (pid) => {
      while ((await emulators()).includes(pid)) await turn();
    },
    close: async () => {
      await current?.close();
      for (const pid of await emulators()) process.kill(pid, 'SIGKILL');
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};

export const backendAt = (state: string, emulator?: string, kernels?: string): Backend =>
  qemuBackend({
    state,
    kernels: guestKernelsIn(nodeDisk, kernels),
    disk: nodeDisk,
    processes: nodeProcesses,
    network: nodeNetwork,
    clock: nodeClock,
    random: nodeRandom,
    log: silentLog,
    releaseMsMax: 1_000,
    ...(process.getuid?.() === 0 && { firstUser: FIRST_USER }),
    ...(emulator === undefined ? {} : { emulator }),
  });

/** A client of a serial console. */
export const consoleAt = (
  path: string,
): { until(text: string): Promise<string>; send(text: string): void; end(): void } => {
  const socket: Socket = connect(path);
  let seen = '';
  const checks = new Set<() => void>();
  socket.on('data', (bytes) => {
    seen += bytes.toString('latin1');
    for (const check of [...checks]) check();
  });
  return {
    until: (text) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (!seen.includes(text)) return;
          checks.delete(check);
          resolve(seen);
        };
        checks.add(check);
        socket.once('error', reject);
        socket.once('close', () =>
          reject(new Error(`the console ended; it had shown ${JSON.stringify(seen)}`)),
        );
        check();
      }),
    send: (text) => void socket.write(text),
    end: () => void socket.destroy(),
  };
};

export const consolePath = (guest: { consoles: readonly { protocol: string; path: string }[] }): string =>
  guest.consoles.find((one) => one.protocol === 'Vt100')?.path ?? '';

/** Lets other work of the machine go on before something is looked at again. */
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
