// A guest's TPM: a process beside its emulator, that ends with it. What the guest keeps in it is one file in
// a folder of its own, which goes back to the toolstack before that folder is removed.
import { join } from 'node:path';
import type { Disk, Owner } from '../../../drivers/disk.ts';
import { tailOf } from '../../../drivers/file-tail.ts';
import type { Processes } from '../../../drivers/processes.ts';
import { said } from '../../../std/allowed.ts';
import { type Clock, sleep } from '../../../std/clock.ts';
import { type Argument, fixed, json } from './arguments.ts';
import { emulatorPid, type Folder, fileNames, type GuestRecord, killEmulator, removeFile } from './folder.ts';

/** Where packages install it. */
const PROGRAM = '/usr/bin/swtpm';
const CONTENTS = 'tpm2-00.permall';
/** More than any holds. */
const CONTENTS_BYTES_MAX = 512 * 1024;
const START_MS_MAX = 10_000;
const POLL_MS = 10;
const COMPLAINT_MAX = 4_096;

interface Place {
  readonly disk: Disk;
  readonly processes: Processes;
  readonly clock: Clock;
}

export const hasTpms = (disk: Disk): Promise<boolean> => disk.isExecutable(PROGRAM);

/** Named as the emulator is: what its process is known again by. */
const stateOf = ({ name }: Pick<GuestRecord, 'name'>): string => `dir=${name}`;
const stateFolder = (folder: Folder, { name }: Pick<GuestRecord, 'name'>): string => join(folder.path, name);

export const tpmArguments = (): readonly Argument[] => [
  ...fixed('-chardev', `socket,id=tpm,path=${fileNames.tpm}`),
  ...fixed('-tpmdev', 'emulator,id=tpm0,chardev=tpm'),
  ...json('-device', said({ driver: 'tpm-crb', tpmdev: 'tpm0' })),
];

/** Resolves once the emulator can connect. `contents`: what an earlier run has left, empty for a new one. */
export const startTpm = async (
  { disk, processes, clock }: Place,
  folder: Folder,
  record: GuestRecord,
  contents: string,
): Promise<void> => {
  const state = stateFolder(folder, record);
  await disk.makeFolder(state, 0o700);
  if (contents !== '') await writeContents(disk, join(state, CONTENTS), Buffer.from(contents, 'base64'));
  if (record.user) await handState(disk, state, record.user);
  const place = { cwd: folder.path, logFile: folder.file('tpmLog') };
  const control = `type=unixio,path=${fileNames.tpm},mode=0600`;
  const pid = await processes.detach(
    PROGRAM,
    ['socket', '--tpm2', '--terminate', '--tpmstate', stateOf(record), '--ctrl', control],
    { ...place, ...(record.user && { user: record.user }) },
  );
  const deadline = clock.monotonicMs() + START_MS_MAX;
  while (!(await disk.exists(folder.file('tpm')))) {
    if (!processes.isAlive(pid) || clock.monotonicMs() >= deadline) {
      const complaint = await tailOf(disk, folder.file('tpmLog'), COMPLAINT_MAX);
      throw new Error(`the guest's TPM does not start: ${complaint.toString('utf8').trim()}`);
    }
    await sleep(clock, POLL_MS);
  }
};

const writeContents = async (disk: Disk, path: string, bytes: Uint8Array): Promise<void> => {
  await disk.replaceText(path, '');
  const file = await disk.open(path, 'write');
  try {
    await file.write(bytes, 0n);
  } finally {
    await file.close();
  }
};

const handState = async (disk: Disk, state: string, user: Owner): Promise<void> => {
  for (const { name } of await disk.list(state)) await disk.give(join(state, name), user, 0o600);
  await disk.give(state, user, 0o700);
};

/** What the guest has in it at this moment, in base64; undefined where it has none, or none is left. */
export const tpmContents = async (
  disk: Disk,
  folder: Folder,
  record: GuestRecord,
): Promise<string | undefined> => {
  const path = join(stateFolder(folder, record), CONTENTS);
  if (record.hasTpm !== true || !(await disk.exists(path))) return undefined;
  const file = await disk.open(path, 'read');
  try {
    if (file.sizeBytes > BigInt(CONTENTS_BYTES_MAX)) return undefined;
    const bytes = Buffer.alloc(Number(file.sizeBytes));
    return bytes.subarray(0, await file.read(bytes, 0n)).toString('base64');
  } finally {
    await file.close();
  }
};

/** It ends by itself when the emulator does; one that the emulator never reached is ended here. */
export const removeTpm = async (host: Place, folder: Folder, record: GuestRecord): Promise<void> => {
  if (record.hasTpm !== true) return;
  const { disk, processes, clock } = host;
  const { pid: _, ...unknown } = record;
  const name = stateOf(record);
  const pid = await emulatorPid(disk, { ...unknown, name });
  if (pid !== undefined) await killEmulator(disk, processes, clock, pid, name);
  const state = stateFolder(folder, record);
  if (!(await disk.exists(state))) return;
  for (const { name: file } of await disk.list(state)) await removeFile(disk, join(state, file));
  await removeFile(disk, state);
};
