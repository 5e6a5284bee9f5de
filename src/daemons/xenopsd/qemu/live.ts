// A guest that runs, as the parts of the backend share it.
import type { Disk } from '../../../drivers/disk.ts';
import type { GuestKernels } from '../../../drivers/guest-kernels.ts';
import type { Network } from '../../../drivers/network.ts';
import type { Processes } from '../../../drivers/processes.ts';
import type { Clock, Random } from '../../../std/clock.ts';
import type { Log } from '../../../std/log.ts';
import type { Guest } from '../backend.ts';
import { followAgent, type GuestAgent } from './agent.ts';
import { cardsOf } from './cards.ts';
import type { SerialConsole } from './console.ts';
import { agent, has, isFixture } from './devices.ts';
import type { Emulator } from './emulator.ts';
import {
  emulatorPid,
  type Folder,
  type GuestRecord,
  killEmulator,
  readRecord,
  removeFolder,
  writeRecord,
} from './folder.ts';
import { takeBack } from './guest-users.ts';
import type { Ending, QmpLink } from './link.ts';
import { removeTpm } from './tpm.ts';
import { removeTaps } from './wiring.ts';

/** What the machine offers to the backend. */
export interface QemuHost {
  readonly state: string;
  readonly disk: Disk;
  readonly processes: Processes;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly kernels: GuestKernels;
  /** Folders whose disks any guest may be given, as they are there now. */
  readonly diskFolders: () => Promise<readonly string[]>;
  /** Looked for once; a failed search is tried again, because it may be installed meanwhile. */
  readonly emulator: () => Promise<Emulator>;
  /** How long a guest may take to give up a device that is unplugged. */
  readonly releaseMsMax: number;
  readonly onEnd: (vm: string, what: Ending) => void;
  readonly onAgent: (vm: string, words: ReadonlyMap<string, string>) => void;
}

export interface QemuGuest {
  readonly folder: Folder;
  record: GuestRecord & { readonly pid: number };
  readonly link: QmpLink;
  readonly console: SerialConsole | undefined;
  /** Absent: it was started without a line for one. */
  readonly agent: GuestAgent | undefined;
}

/** Changes what is known of a guest, on disk first. */
export const note = async (
  host: QemuHost,
  guest: QemuGuest,
  changes: Partial<
    Pick<GuestRecord, 'wanted' | 'lastMedium' | 'devices' | 'images' | 'lent' | 'sets' | 'memoryMib'>
  >,
): Promise<void> => {
  const record = { ...guest.record, ...changes };
  await writeRecord(host.disk, guest.folder, record);
  guest.record = record;
};

const MIB = 1024n * 1024n;

export const describe = ({ record, folder }: QemuGuest, state: Guest['state']): Guest => {
  const plugged = record.devices.filter((device) => !device.isDead && !isFixture(device));
  const keys = (isVif: boolean): string[] =>
    plugged.filter((device) => (device.kind === 'vif') === isVif).map((device) => device.key);
  return {
    vm: record.vm,
    domid: record.domid,
    state,
    consoles: [
      { protocol: 'Rfb', port: 0, path: folder.file('vnc') },
      { protocol: 'Vt100', port: 0, path: folder.file('console') },
    ],
    memoryActual: BigInt(record.memoryMib) * MIB,
    startTime: record.startTime,
    features: record.features ?? '',
    disks: keys(false),
    vifs: keys(true),
  };
};

/** Speaks with the agent of a guest from here on, where it was started with a line for one. */
export const agentOf = (
  host: QemuHost,
  folder: Folder,
  record: GuestRecord,
  link: QmpLink,
): GuestAgent | undefined =>
  has(record.devices, agent)
    ? followAgent({
        ...host,
        folder,
        cards: () => cardsOf(link.qmp()),
        onWords: (words) => host.onAgent(record.vm, words),
      })
    : undefined;

/** Lets go of a guest without touching it. */
export const release = async (guest: QemuGuest): Promise<void> => {
  guest.link.close();
  guest.agent?.close();
  await guest.console?.close();
};

/** Ends what is left of a guest, whatever state it was left in, and forgets it. */
export const removeRemains = async (host: QemuHost, folder: Folder): Promise<void> => {
  const { disk, processes, clock } = host;
  const record = await readRecord(disk, folder);
  const pid = record && (await emulatorPid(disk, record));
  if (record && pid !== undefined) await killEmulator(disk, processes, clock, pid, record.name);
  if (record) await removeTpm(host, folder, record);
  if (record) await takeBack(disk, record.lent ?? []);
  if (record?.user) await removeTaps(disk, processes, record.domid, record.devices);
  await removeFolder(disk, folder);
};
