// Starting an emulator: everything is checked before anything is made, and what was made is taken back
// when a later step fails.

import { bootIdOf } from '../../../drivers/boot-id.ts';
import type { Disk, OpenFile, Owner } from '../../../drivers/disk.ts';
import { tailOf } from '../../../drivers/file-tail.ts';
import { KERNEL_BYTES_MAX } from '../../../drivers/guest-kernels.ts';
import { allowed, said } from '../../../std/allowed.ts';
import { sleep } from '../../../std/clock.ts';
import { featuresText } from '../../../std/cpu-features.ts';
import type { BackendWork, GuestSpec } from '../backend.ts';
import { serveConsole } from './console.ts';
import { type Device, isFixture, type NodeName } from './devices.ts';
import { type Emulator, type Firmware, findFirmware, processorOf } from './emulator.ts';
import {
  emulatorPid,
  type Folder,
  folderOf,
  type GuestRecord,
  isEmulator,
  readRecord,
  removeFile,
  writeRecord,
} from './folder.ts';
import {
  type Handed,
  handDisks,
  isServed,
  lendDisk,
  lending,
  openFolder,
  sealFolder,
  userOf,
} from './guest-users.ts';
import type { Stored } from './images.ts';
import { variablesIn } from './kept.ts';
import { linkTo } from './link.ts';
import { agentOf, type QemuGuest, type QemuHost, release, removeRemains } from './live.ts';
import {
  bootsFromNetwork,
  byKey,
  commandLine,
  devicesOf,
  directBoot,
  flavourOf,
  hasTpm,
  memoryMib,
  type QemuCommandLine,
} from './machine.ts';
import type { Origin } from './origin.ts';
import { featuresWanted } from './processor.ts';
import { startTpm } from './tpm.ts';
import { connectTap, hasLink, makeTap, wireFor } from './wiring.ts';

const START_MS_MAX = 30_000;
const POLL_MS = 10;
const COMPLAINT_MAX = 4096;

/** What a guest that goes on wants back as it was. */
type Saved = Pick<Origin, 'devices' | 'features'>;

/** Starts the emulator of a guest, paused. */
export const launch = async (
  host: QemuHost,
  spec: GuestSpec,
  work: BackendWork,
  emulator: Emulator,
  saved?: Saved,
): Promise<QemuGuest> => {
  const folder = folderOf(host.state, spec.vm.id);
  await checkFree(host, folder);
  const { machine, firmware } = await plan(host, spec, emulator, saved);
  work.signal.throwIfAborted();
  await removeRemains(host, folder);
  try {
    return await make(host, folder, machine, firmware, work);
  } catch (error) {
    await removeRemains(host, folder);
    throw error;
  }
};

/** Two emulators for one guest would both write to its disks. */
const checkFree = async (host: QemuHost, folder: Folder): Promise<void> => {
  const record = await readRecord(host.disk, folder);
  if (record?.pid === undefined) return;
  const pid = await emulatorPid(host.disk, record);
  if (pid !== undefined) throw new Error(`guest ${record.vm} runs already, as process ${pid}`);
};

type Planned = QemuCommandLine & { readonly handed: Handed | undefined; readonly boot: string };

const plan = async (
  host: QemuHost,
  spec: GuestSpec,
  emulator: Emulator,
  saved: Saved | undefined,
): Promise<{ machine: Planned; firmware: Firmware | undefined }> => {
  const { vm } = spec;
  const devices = saved ? sameDevices(spec, saved.devices) : devicesOf(spec);
  const features = saved?.features ?? featuresWanted(vm.platformdata, processorOf(emulator));
  const isIncoming = saved !== undefined;
  const isUefi = vm.boot.type === 'HVM' && vm.boot.firmware === 'Uefi';
  const firmware = isUefi ? await findFirmware(host.disk) : undefined;
  const wires = await Promise.all(
    spec.vifs.map((vif) => {
      const device = devices.find((one) => one.kind === 'vif' && one.key === vif.id[1]);
      if (!device) throw new Error(`network interface ${vif.id[1]} is there twice`);
      return wireFor(host.disk, device, vif, spec.domid, emulator.userNetwork);
    }),
  );
  const name = allowed('name', `xenact-${host.random.uuid()}`, (why) => new Error(why));
  const nowMs = host.clock.now();
  const boot = await bootIdOf(host.disk);
  const flavour = flavourOf(vm);
  const handed = emulator.users && (await handDisks(host.disk, spec.disks, await host.diskFolders()));
  const looks = { features, firmware, devices, wires, flavour };
  const machine = { spec, name, emulator, ...looks, isIncoming, nowMs, boot, handed };
  // Writing it down once checks every value before anything exists.
  commandLine(machine);
  return { machine, firmware };
};

/** A saved guest wants the devices back that it had, no more and no fewer. */
const sameDevices = (spec: GuestSpec, saved: readonly Device[]): readonly Device[] => {
  const names = (isVif: boolean, keys: readonly string[]) =>
    keys.map((key) => `${isVif ? 'VIF' : 'VBD'} ${key}`);
  const disks = spec.disks.map(({ vbd }) => vbd.id[1]);
  const wanted = [
    ...names(false, disks),
    ...names(
      true,
      spec.vifs.map((vif) => vif.id[1]),
    ),
  ].sort();
  const had = saved
    .filter((device) => !isFixture(device))
    .flatMap((device) => names(device.kind === 'vif', [device.key]))
    .sort();
  if (wanted.join() === had.join()) return saved;
  throw new Error(`the guest was suspended with ${had.join(', ')}, not with ${wanted.join(', ')}`);
};

const make = async (
  host: QemuHost,
  folder: Folder,
  machine: Planned,
  firmware: Firmware | undefined,
  work: BackendWork,
): Promise<QemuGuest> => {
  const { disk, processes } = host;
  const { spec, emulator } = machine;
  const sockets = emulator.users ? servedIn(machine) : [];
  const lent = await Promise.all(sockets.map(({ node, one }) => lending(disk, node, one)));
  const unborn = { ...recordOf(machine), ...(sockets.length > 0 && { lent: lent.flat() }) };
  await disk.makeFolder(folder.path, 0o700);
  await writeRecord(disk, folder, unborn);
  await copyBootFiles(host, folder, spec, firmware);
  const { user } = unborn;
  if (user) {
    for (const { one } of sockets) await lendDisk(disk, user, one);
    await handFolder(host, folder, machine, user);
  }
  if (unborn.hasTpm) await startTpm(host, folder, unborn, spec.kept?.get('tpm') ?? '');
  // The emulator runs in the guest's folder: no path of ours has to fit into its options.
  const place = {
    ...{ cwd: folder.path, logFile: folder.file('log') },
    ...(user && { user, inherited: machine.handed?.inherited ?? [] }),
  };
  const pid = await processes.detach(emulator.file, commandLine(machine), place);
  const record = { ...unborn, pid };
  const onEnd = host.onEnd.bind(undefined, spec.vm.id);
  const link = linkTo({ ...host, folder, pid, name: machine.name, onEnd });
  try {
    await untilAnswering(host, folder, record, link.connect, work.signal);
    // It has read them, and a new emulator gets new copies.
    for (const name of ['kernel', 'ramdisk'] as const) await removeFile(disk, folder.file(name));
    // One that waits for a guest makes one more socket.
    if (user && !machine.isIncoming) await sealFolder(disk, folder.path);
    for (const wire of machine.wires) await connectTap(processes, wire);
    for (const [index, vif] of spec.vifs.entries()) {
      if (hasLink(vif)) continue;
      const device = machine.devices.filter((one) => one.kind === 'vif')[index];
      await link.qmp().execute('set_link', said({ name: device?.id, up: false }));
    }
    const console = await serveConsole(host, folder);
    const agent = agentOf(host, folder, record, link);
    const guest = { folder, record, link, console, agent };
    await writeRecord(disk, folder, record).catch(async (error) => {
      await release(guest);
      throw error;
    });
    return guest;
  } catch (error) {
    link.close();
    throw error;
  }
};

/** The disks that a server has, and the nodes of their devices. */
const servedIn = ({ spec, devices }: Planned): readonly { readonly node: NodeName; readonly one: Stored }[] =>
  spec.disks.flatMap((disk) => {
    const { path, vbd } = disk;
    if (path === undefined || !isServed(disk)) return [];
    return [{ node: byKey(devices, 'vbd', vbd.id[1]).id, one: { ...disk, path } }];
  });

/** Everything in the folder that the emulator opens becomes its own, and the folder until it is sealed. */
const handFolder = async (
  { disk, processes }: QemuHost,
  folder: Folder,
  { wires }: QemuCommandLine,
  user: Owner,
): Promise<void> => {
  for (const name of ['variables', 'kernel', 'ramdisk'] as const) {
    if (await disk.exists(folder.file(name))) await disk.give(folder.file(name), user, 0o600);
  }
  for (const wire of wires) await makeTap(disk, processes, wire, user);
  await openFolder(disk, folder.path, user);
};

const recordOf = ({
  spec,
  name,
  emulator,
  features,
  devices,
  flavour,
  nowMs,
  boot,
  handed,
}: Planned): GuestRecord => ({
  format: 1,
  vm: spec.vm.id,
  domid: spec.domid,
  name,
  startTime: Math.floor(nowMs / 1000),
  boot,
  machine: emulator.machine,
  accelerator: emulator.accelerator,
  features: featuresText(features),
  flavour,
  bootsFromNetwork: bootsFromNetwork(spec.vm),
  memoryMib: Number(memoryMib(spec.vm)),
  vcpusMax: spec.vm.vcpu_max,
  ...(hasTpm(spec.vm) && { hasTpm: true as const }),
  wanted: 'paused',
  lastMedium: 0,
  devices,
  ...(emulator.users && {
    user: userOf(emulator.users, spec.domid),
    reach: handed?.reach ?? [],
    sets: handed?.sets ?? [],
  }),
});

/** The emulator makes its socket some time after it was started, or says on its log why not. */
const untilAnswering = async (
  { disk, clock }: QemuHost,
  folder: Folder,
  { pid, name }: { pid: number; name: string },
  connect: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> => {
  const deadline = clock.monotonicMs() + START_MS_MAX;
  for (;;) {
    const failure = await connect().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure === undefined) return;
    if (!(await isEmulator(disk, pid, name))) throw await lastWords({ disk }, folder);
    if (clock.monotonicMs() >= deadline) throw failure;
    await sleep(clock, POLL_MS, signal);
  }
};

/** Why an emulator that ended before its guest ran did so. */
export const lastWords = async ({ disk }: Pick<QemuHost, 'disk'>, folder: Folder): Promise<Error> => {
  const said = (await tailOf(disk, folder.file('log'), COMPLAINT_MAX)).toString('utf8').trim();
  return new Error(`the emulator ended: ${said === '' ? 'it did not say why' : said}`);
};

/**
 * What the emulator reads of files that are not the guest's it gets as copies, made of the very files
 * checked.
 */
const copyBootFiles = async (
  { disk, kernels }: QemuHost,
  folder: Folder,
  { vm, kept }: GuestSpec,
  firmware: Firmware | undefined,
): Promise<void> => {
  if (firmware) {
    const template = await disk.open(firmware.variables, 'read');
    const variables = variablesIn(kept, template.sizeBytes);
    await copyFile(disk, template, folder.file('variables'));
    if (variables) await writeFile(disk, folder.file('variables'), variables);
  }
  const boot = directBoot(vm);
  if (!boot) return;
  await copyFile(disk, await kernels.open(boot.kernel), folder.file('kernel'));
  if (boot.ramdisk === undefined) return;
  await copyFile(disk, await kernels.open(boot.ramdisk), folder.file('ramdisk'));
};

const writeFile = async (disk: Disk, path: string, bytes: Uint8Array): Promise<void> => {
  const file = await disk.open(path, 'write');
  try {
    await file.write(bytes, 0n);
  } finally {
    await file.close();
  }
};

const COPY_BYTES_MAX = KERNEL_BYTES_MAX;
const CHUNK_BYTES = 1024 * 1024;

/** Closes the source. */
const copyFile = async (disk: Disk, source: OpenFile, to: string): Promise<void> => {
  try {
    if (source.sizeBytes > COPY_BYTES_MAX) throw new Error(`${to} would be too large`);
    await disk.replaceText(to, '');
    const target = await disk.open(to, 'write');
    try {
      const chunk = new Uint8Array(CHUNK_BYTES);
      for (let at = 0n; at < source.sizeBytes; ) {
        const count = await source.read(chunk, at);
        if (count === 0) return;
        await target.write(chunk.subarray(0, count), at);
        at += BigInt(count);
      }
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
};
