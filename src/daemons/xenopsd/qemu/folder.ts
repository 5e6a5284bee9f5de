// A guest's folder: the sockets of its emulator, what it printed, and a record of what runs, from which
// the next daemon knows it again.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Disk, Owner } from '../../../drivers/disk.ts';
import type { Processes } from '../../../drivers/processes.ts';
import type { Allowed } from '../../../std/allowed.ts';
import { type Clock, sleep } from '../../../std/clock.ts';
import { jsonIn, membersOf } from '../../../std/reader.ts';
import type { Device, Flavour } from './devices.ts';
import type { FileSet, LentUser } from './guest-users.ts';
import type { Accelerator } from './processor.ts';

/** Everything that a guest's folder may hold. */
export const fileNames = {
  record: 'guest.json',
  qmp: 'qmp.sock',
  qmpLog: 'qmp.log',
  serial: 'serial.sock',
  serialLog: 'serial.log',
  console: 'console.sock',
  vnc: 'vnc.sock',
  agent: 'agent.sock',
  incoming: 'in.sock',
  outgoing: 'out.sock',
  tpm: 'tpm.sock',
  tpmLog: 'tpm.log',
  variables: 'uefi.fd',
  kernel: 'kernel',
  ramdisk: 'ramdisk',
  log: 'qemu.log',
} as const;

/** What `sockaddr_un` holds without its final zero. */
const SOCKET_PATH_MAX = 107;
const FOLDER_NAME_LENGTH = 16;
const RECORD_MAX = 1024 * 1024;
/** The kernel's own limit for a command line is higher, but ours are not. */
const COMMAND_LINE_MAX = 4 * 1024 * 1024;

export interface GuestRecord {
  readonly format: 1;
  readonly vm: string;
  readonly domid: number;
  /** Random, on the emulator's command line: a process id can be reused, this cannot. */
  readonly name: string;
  /** Absent while the guest is being made; such a guest is removed by the next daemon. */
  readonly pid?: number;
  readonly startTime: number;
  /** Of the machine, as it was started then; a guest of an earlier version does not say. */
  readonly boot?: string;
  readonly machine: Allowed;
  readonly accelerator: Accelerator;
  /** Of the processor that the guest sees; a guest of an earlier version has all that there are. */
  readonly features?: string;
  readonly flavour: Flavour;
  readonly bootsFromNetwork: boolean;
  readonly memoryMib: number;
  /** A guest of an earlier version does not say. */
  readonly vcpusMax?: number;
  /** What the guest was last told to do; a suspend that was cut short must not leave it standing. */
  readonly wanted: 'paused' | 'running';
  /** Media have numbers so that the next is named before the last is gone. */
  readonly lastMedium: number;
  readonly devices: readonly Device[];
  /** It has a TPM, which a process of its own serves. */
  readonly hasTpm?: true;
  /** Whom the emulator runs as, where that is not the daemon's own user. */
  readonly user?: Owner;
  /** Folders that it was started with, at the places of its open files; other places are empty. */
  readonly reach?: readonly string[];
  /** Files that it was started with and holds still. */
  readonly sets?: readonly FileSet[];
  /** Where images are that it was given while it ran, by their nodes. */
  readonly images?: readonly { readonly node: string; readonly path: string }[];
  /** Files that were made its user's, and are to be taken back. */
  readonly lent?: readonly LentUser[];
}

export interface Folder {
  readonly path: string;
  readonly file: (name: keyof typeof fileNames) => string;
}

/** Named by a digest: ids come from clients, and the paths of sockets have to be short. */
export const folderOf = (state: string, vm: string): Folder => {
  const name = createHash('sha256').update(vm).digest('hex').slice(0, FOLDER_NAME_LENGTH);
  return folderAt(join(state, name));
};

export const folderAt = (path: string): Folder => ({ path, file: (name) => join(path, fileNames[name]) });

/** Fails at the daemon's start, and not when the first guest is started. */
export const checkStateFolder = (state: string): void => {
  const longest = Math.max(...Object.values(fileNames).map((name) => name.length));
  const most = SOCKET_PATH_MAX - longest - FOLDER_NAME_LENGTH - 2;
  if (Buffer.byteLength(state) <= most) return;
  throw new Error(
    `the state folder ${state} is too long for Unix sockets: choose one of up to ${most} bytes`,
  );
};

export const writeRecord = (disk: Disk, folder: Folder, record: GuestRecord): Promise<void> =>
  disk.replaceText(folder.file('record'), JSON.stringify(record));

/** Undefined when there is none, or none that this version understands. */
export const readRecord = async (disk: Disk, folder: Folder): Promise<GuestRecord | undefined> => {
  if (!(await disk.exists(folder.file('record')))) return undefined;
  const record = jsonIn(await disk.readText(folder.file('record'), RECORD_MAX));
  const { format, vm, name, devices } = membersOf(record);
  const isWhole =
    format === 1 && [vm, name].every((one) => typeof one === 'string') && Array.isArray(devices);
  return isWhole ? (record as GuestRecord) : undefined;
};

/** Whether this process is the emulator called `name`. False once it ended, even if it was not collected. */
export const isEmulator = async (disk: Disk, pid: number, name: string): Promise<boolean> => {
  try {
    const line = await disk.readText(`/proc/${pid}/cmdline`, COMMAND_LINE_MAX);
    return line.split('\0').includes(name);
  } catch {
    return false;
  }
};

/** The emulator of a record, looked for by its name when the daemon did not live to note it. */
export const emulatorPid = async (disk: Disk, record: GuestRecord): Promise<number | undefined> => {
  const ids = record.pid === undefined ? await processIds(disk) : [record.pid];
  for (const pid of ids) if (await isEmulator(disk, pid, record.name)) return pid;
  return undefined;
};

const processIds = async (disk: Disk): Promise<readonly number[]> =>
  (await disk.list('/proc')).map(({ name }) => Number(name)).filter((pid) => pid > 1);

const POLL_MS = 10;
export const END_MS_MAX = 10_000;

/** Resolves with whether the emulator is gone, waiting for it no longer than told. */
export const waitForEnd = async (
  disk: Disk,
  clock: Clock,
  pid: number,
  name: string,
  waitMs: number,
): Promise<boolean> => {
  const deadline = clock.monotonicMs() + waitMs;
  while (await isEmulator(disk, pid, name)) {
    if (clock.monotonicMs() >= deadline) return false;
    await sleep(clock, POLL_MS);
  }
  return true;
};

/** Kills the emulator, if it is still that emulator. */
export const killEmulator = async (
  disk: Disk,
  processes: Processes,
  clock: Clock,
  pid: number,
  name: string,
): Promise<void> => {
  if (await isEmulator(disk, pid, name)) processes.signal(pid, 'SIGKILL');
  if (await waitForEnd(disk, clock, pid, name, END_MS_MAX)) return;
  throw new Error(`emulator ${pid} does not end, most likely because its storage does not answer`);
};

/** Removes the folder with everything in it. One that is not there is success. */
export const removeFolder = async (disk: Disk, folder: Folder): Promise<void> => {
  if (!(await disk.exists(folder.path))) return;
  // The record goes last, so that what is cut short is found again and finished.
  const names = (await disk.list(folder.path)).map((entry) => entry.name);
  const ordered = [...names.filter((name) => name !== fileNames.record), fileNames.record];
  for (const name of ordered) await removeFile(disk, join(folder.path, name));
  await removeFile(disk, folder.path);
};

export const removeFile = async (disk: Disk, path: string): Promise<void> => {
  await disk.remove(path).catch((error) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
};

/** Empties a file to which the emulator appends: it goes on at the new end. */
export const emptyFile = async (disk: Disk, path: string): Promise<void> => {
  if (!(await disk.exists(path))) return;
  const file = await disk.open(path, 'write');
  try {
    await file.truncate(0n);
  } finally {
    await file.close();
  }
};
