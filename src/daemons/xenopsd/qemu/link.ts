// The daemon's hold on one running emulator: its control connection, made again when it breaks, and what
// became of the guest, told once.

import type { Disk } from '../../../drivers/disk.ts';
import { tailOf } from '../../../drivers/file-tail.ts';
import type { Network } from '../../../drivers/network.ts';
import type { Clock } from '../../../std/clock.ts';
import type { Log } from '../../../std/log.ts';
import { own } from '../../../std/own.ts';
import { membersOf } from '../../../std/reader.ts';
import { emptyFile, type Folder, isEmulator } from './folder.ts';
import { connectQmp, eventsIn, type Qmp, type QmpEvent, QmpFailure } from './qmp.ts';

/** How a guest ended without being told to. */
/** `lost`: with the machine, which was started anew. */
export type Ending = 'poweroff' | 'reboot' | 'crash' | 'lost';

export interface QmpLink {
  /** One attempt. Rejects when the emulator does not answer, or when another one does. */
  connect(): Promise<void>;
  /** Attempts until it is connected or the emulator is gone. */
  keepTrying(): void;
  /** The connection; throws while there is none. */
  qmp(): Qmp;
  /** From here on an end is wanted and not told. */
  hush(): void;
  /** From here on an end is told; one that came meanwhile at once. */
  speak(): void;
  close(): void;
}

/** QEMU keeps a copy of what it says here, also while nobody listens: the end of a guest is found in it. */
const QMP_LOG_BYTES_MAX = 1024 * 1024;
const RETRY_MS = 1_000;

export interface QmpLinkOptions {
  readonly disk: Disk;
  readonly network: Network;
  readonly clock: Clock;
  readonly log: Log;
  readonly folder: Folder;
  readonly pid: number;
  readonly name: string;
  readonly onEnd: (what: Ending) => void;
}

export const linkTo = (options: QmpLinkOptions): QmpLink => {
  const { disk, network, clock, log, folder, pid, name } = options;
  let qmp: Qmp | undefined;
  let ended: Ending | undefined;
  let isTold = false;
  let isQuiet = true;
  let isClosed = false;
  let cancelRetry = (): void => {};
  let loggedBytes = 0;

  const tell = (): void => {
    if (isQuiet || isTold || isClosed || ended === undefined) return;
    isTold = true;
    options.onEnd(ended);
  };
  const end = (what: Ending): void => {
    ended ??= what;
    tell();
  };
  const lost = async (error: unknown): Promise<void> => {
    qmp = undefined;
    if (isClosed || ended) return;
    if (!(await isEmulator(disk, pid, name))) return end((await endingInLog(disk, folder)) ?? 'crash');
    log.warn({ error, pid }, 'the emulator runs but its control connection does not; trying again');
    cancelRetry = clock.after(RETRY_MS, () => void connect().catch(lost));
  };
  const onReceived = (sizeBytes: number): void => {
    loggedBytes += sizeBytes;
    if (loggedBytes <= QMP_LOG_BYTES_MAX) return;
    loggedBytes = 0;
    emptyFile(disk, folder.file('qmpLog')).catch((error) => log.warn({ error }, 'an event log stays long'));
  };
  const onEvent = async (from: Qmp, event: QmpEvent): Promise<void> => {
    const what = endingOf(event);
    if (what) end(what);
    // The emulator stops a guest that it cannot run on, and says why only when asked.
    else if (event.name === 'STOP' && (await statusOf(from)) === 'internal-error') end('crash');
  };
  const connect = async (): Promise<void> => {
    const socketPath = folder.file('qmp');
    const found = await connectQmp({
      socketPath,
      network,
      clock,
      onClose: (error) => void lost(error),
      onReceived,
    });
    try {
      found.onEvent((event) => {
        onEvent(found, event).catch((error) => log.debug({ error }, 'the guest ended while asked about'));
      });
      const answer = membersOf(await found.execute('query-name'))['name'];
      if (answer !== name) throw new QmpFailure('closed', `another emulator answers at ${socketPath}`);
      const status = await statusOf(found);
      if (status === 'shutdown') end((await endingInLog(disk, folder)) ?? 'poweroff');
      else if (status === 'guest-panicked' || status === 'internal-error') end('crash');
    } catch (error) {
      found.close();
      throw error;
    }
    if (isClosed) found.close();
    else qmp = found;
  };

  return {
    connect,
    keepTrying: () => void connect().catch(lost),
    qmp: () => {
      if (!qmp) throw new QmpFailure('closed', 'the emulator does not answer at the moment');
      return qmp;
    },
    hush: () => {
      isQuiet = true;
    },
    speak: () => {
      isQuiet = false;
      tell();
    },
    close: () => {
      isClosed = true;
      cancelRetry();
      qmp?.close();
    },
  };
};

export const statusOf = async (qmp: Qmp): Promise<string> =>
  String(membersOf(await qmp.execute('query-status'))['status']);

/** A reset ends the emulator's guest as a power-off does; only the reason tells them apart. */
const endingOf = ({ name, data }: QmpEvent): Ending | undefined => {
  if (name === 'GUEST_PANICKED') return 'crash';
  if (name !== 'SHUTDOWN') return undefined;
  const endings: Readonly<Record<string, Ending>> = {
    'guest-shutdown': 'poweroff',
    'guest-reset': 'reboot',
    'guest-panic': 'crash',
  };
  // The rest are the emulator's own end, which shows when its connection closes.
  return own(endings, String(data['reason']));
};

/** How the guest ended while no daemon was there, as far as its emulator said. */
export const endingInLog = async (disk: Disk, folder: Folder): Promise<Ending | undefined> => {
  const text = await tailOf(disk, folder.file('qmpLog'), QMP_LOG_BYTES_MAX);
  return eventsIn(text.toString('utf8'))
    .map(endingOf)
    .find((what) => what !== undefined);
};
