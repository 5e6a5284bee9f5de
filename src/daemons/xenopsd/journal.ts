import type { Disk, OpenFile } from '../../drivers/disk.ts';
import type { Log } from '../../std/log.ts';
import { jsonIn } from '../../std/reader.ts';

/**
 * What a daemon must know again after a restart: a text for each key, as lines of one file in which the
 * last line of a key counts. It is written but never synced: it has to outlive the daemon, not the host,
 * because no guest it speaks of outlives the host. So a change costs microseconds.
 */
export interface Journal {
  readonly entries: ReadonlyMap<string, string>;
  /** Resolves once the file has it. Undefined forgets the key. */
  put(key: string, text: string | undefined): Promise<void>;
  /** Resolves once everything put before is written. */
  close(): Promise<void>;
}

export interface JournalLimits {
  readonly fileMax: number;
  /** The file is rewritten once it is this many times as long as what counts in it. */
  readonly wasteMax: number;
}

const limitsOf: JournalLimits = { fileMax: 256 * 1024 * 1024, wasteMax: 8 };
/** A file below this is not worth rewriting. */
const SMALL_BYTES = 1024 * 1024;

export const openJournal = async (
  disk: Disk,
  path: string,
  log: Log,
  limits: JournalLimits = limitsOf,
): Promise<Journal> => {
  const entries = (await disk.exists(path))
    ? readLines(await disk.readText(path, limits.fileMax), path, log)
    : new Map<string, string>();
  let file: OpenFile | undefined;
  let sizeBytes = 0;
  let liveBytes = 0;
  let waiting: string[] = [];
  let writing: Promise<void> | undefined;

  /** Starts the file anew with what counts, so that a torn last line never meets the next one. */
  const rewrite = async (): Promise<void> => {
    const text = [...entries].map(([key, value]) => line(key, value)).join('');
    await file?.close();
    file = undefined;
    await disk.replaceText(path, text);
    sizeBytes = Buffer.byteLength(text);
    liveBytes = sizeBytes;
    file = await disk.open(path, 'write');
  };

  const writeWaiting = async (): Promise<void> => {
    // What is put in the same turn of the event loop goes out in one write.
    await Promise.resolve();
    const bytes = Buffer.from(waiting.join(''));
    waiting = [];
    writing = undefined;
    const wasteful = sizeBytes + bytes.length > Math.max(SMALL_BYTES, limits.wasteMax * liveBytes);
    if (file === undefined || wasteful || sizeBytes + bytes.length > limits.fileMax) return rewrite();
    try {
      await file.write(bytes, BigInt(sizeBytes));
    } catch (error) {
      // What reached the file is not known: the next write starts it anew.
      sizeBytes = limits.fileMax;
      throw error;
    }
    sizeBytes += bytes.length;
  };

  let last: Promise<void> = rewrite();
  await last;
  return {
    entries,
    put: (key, text) => {
      if (text === undefined) entries.delete(key);
      else entries.set(key, text);
      waiting.push(line(key, text));
      if (writing === undefined) {
        writing = last.catch(() => {}).then(writeWaiting);
        last = writing;
      }
      return writing;
    },
    close: async () => {
      await last.catch(() => {});
      await file?.close();
      file = undefined;
    },
  };
};

const line = (key: string, text: string | undefined): string => `${JSON.stringify([key, text ?? null])}\n`;

const readLines = (text: string, path: string, log: Log): Map<string, string> => {
  const entries = new Map<string, string>();
  for (const each of text.split('\n')) {
    if (each === '') continue;
    const read = readLine(each);
    if (read === undefined) log.warn({ path }, 'a line that was not written to its end is passed over');
    else if (read.value === null) entries.delete(read.key);
    else entries.set(read.key, read.value);
  }
  return entries;
};

const readLine = (text: string): { key: string; value: string | null } | undefined => {
  const pair = jsonIn(text);
  const [key, value] = Array.isArray(pair) ? pair : [];
  if (typeof key !== 'string' || !(typeof value === 'string' || value === null)) return undefined;
  return { key, value };
};
