// The serial console. QEMU takes one client and forgets what it printed while there was none; so the
// daemon is that client from the first byte on, and serves any number of its own. Each first gets the
// last of what was printed. QEMU writes it to a file as well, which a new daemon starts from.
import type { Duplex } from 'node:stream';
import type { Disk } from '../../../drivers/disk.ts';
import { tailOf } from '../../../drivers/file-tail.ts';
import type { Network } from '../../../drivers/network.ts';
import type { Log } from '../../../std/log.ts';
import { emptyFile, type Folder, removeFile } from './folder.ts';

export interface ConsoleLimits {
  /** What a new client sees of the past. */
  readonly replayBytesMax: number;
  /** The file is emptied beyond this; a daemon started right after that replays less. */
  readonly logBytesMax: number;
  readonly clientsMax: number;
  /** A client that does not read is cut off when this much waits for it. */
  readonly unreadBytesMax: number;
}

export const consoleLimits: ConsoleLimits = {
  replayBytesMax: 64 * 1024,
  logBytesMax: 1024 * 1024,
  clientsMax: 16,
  unreadBytesMax: 1024 * 1024,
};

export interface SerialConsole {
  close(): Promise<void>;
}

const CONNECT_MS_MAX = 10_000;

export const serveConsole = async (
  { disk, network, log }: { disk: Disk; network: Network; log: Log },
  folder: Folder,
  limits: ConsoleLimits = consoleLimits,
): Promise<SerialConsole> => {
  const clients = new Set<Duplex>();
  const past = recent(limits.replayBytesMax);
  let loggedBytes = 0;

  const guest = await network.connect({ socketPath: folder.file('serial') }, { timeoutMs: CONNECT_MS_MAX });
  const emptyLog = (): void => {
    loggedBytes = 0;
    emptyFile(disk, folder.file('serialLog')).catch((error) => log.warn({ error }, 'console log stays long'));
  };
  guest.on('error', (error) => log.debug({ error }, 'the serial port ended'));
  guest.on('close', () => {
    for (const client of clients) client.end();
  });
  // Paused until the file is read: what arrives meanwhile is in the file already.
  let isCaughtUp = false;
  guest.on('data', (bytes: Buffer) => {
    if (!isCaughtUp) return;
    past.add(bytes);
    for (const client of clients) send(client, bytes, limits.unreadBytesMax);
    loggedBytes += bytes.length;
    if (loggedBytes > limits.logBytesMax) emptyLog();
  });
  past.add(await tailOf(disk, folder.file('serialLog'), limits.replayBytesMax));
  isCaughtUp = true;

  const attach = (client: Duplex): void => {
    clients.add(client);
    client.on('error', () => client.destroy());
    client.on('close', () => clients.delete(client));
    for (const chunk of past.chunks()) client.write(chunk);
    // A guest that does not read holds back the client, not the daemon's memory.
    client.pipe(guest, { end: false });
  };
  // A daemon that was killed leaves its socket behind.
  await removeFile(disk, folder.file('console'));
  const on = { socketPath: folder.file('console') };
  const serving = await network.listen(on, attach, { connectionsMax: limits.clientsMax }).catch((error) => {
    guest.destroy();
    throw error;
  });
  return {
    close: async () => {
      guest.destroy();
      await serving.close();
    },
  };
};

const send = (client: Duplex, bytes: Buffer, unreadBytesMax: number): void => {
  if (client.writableLength + bytes.length > unreadBytesMax) client.destroy();
  else client.write(bytes);
};

/** The last bytes of a stream, up to a limit. */
const recent = (bytesMax: number) => {
  let kept: Buffer[] = [];
  let sizeBytes = 0;
  return {
    add: (bytes: Buffer): void => {
      kept.push(bytes);
      sizeBytes += bytes.length;
      // Joined only at twice the limit, so that single characters do not each copy everything.
      if (sizeBytes <= 2 * bytesMax && kept.length < bytesMax) return;
      const last = Buffer.concat(kept).subarray(-bytesMax);
      kept = [Buffer.from(last)];
      sizeBytes = last.length;
    },
    chunks: (): Buffer[] => {
      const last = Buffer.concat(kept).subarray(-bytesMax);
      return last.length === 0 ? [] : [last];
    },
  };
};
