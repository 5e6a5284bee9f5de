import { join } from 'node:path';
import type { Disk, OpenFile } from '../drivers/disk.ts';
import type { AuditTrail } from '../edge/audit.ts';
import type { Clock } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import { chunksOf } from './file-chunks.ts';

export interface AuditFileOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** Its own folder; it must exist. */
  readonly folder: string;
  readonly fileBytesMax?: number;
  readonly filesMax?: number;
  readonly bufferedCharsMax?: number;
}

/** A file that is full is followed by the next; beyond `filesMax` the oldest goes. */
export const fileBytesMax = 16 * 1024 * 1024;
export const filesMax = 8;
/** Lines that wait for a disk that is too slow. Any more are lost, and how many is written down. */
export const bufferedCharsMax = 4 * 1024 * 1024;
/** Lines wait this long to be written together. */
const flushMs = 200;

const nameForm = /^audit-(\d{8})\.log$/;
const newline = 10;

/**
 * The audit log: lines appended to numbered files. Nobody waits for them to be written, so the lines of
 * the last `flushMs` are lost when the process is killed, and what the system had not yet put on disk
 * when the power fails; calls stay fast, and what was acknowledged is in the store anyway.
 */
export const openAuditFile = async (
  options: AuditFileOptions,
): Promise<AuditTrail & { close(): Promise<void> }> => {
  const { disk, clock, log, folder } = options;
  const limits = {
    fileBytes: options.fileBytesMax ?? fileBytesMax,
    files: options.filesMax ?? filesMax,
    buffered: options.bufferedCharsMax ?? bufferedCharsMax,
  };
  const pathOf = (number: number): string => join(folder, `audit-${String(number).padStart(8, '0')}.log`);
  const numbers = async (): Promise<readonly number[]> =>
    (await disk.list(folder))
      .flatMap(({ name }) => Number(nameForm.exec(name)?.[1] ?? []))
      .sort((a, b) => a - b);

  let waiting: string[] = [];
  let waitingChars = 0;
  let lost = 0;
  let failed = false;
  let current = await openNewest(disk, pathOf, (await numbers()).at(-1) ?? 1);
  let writing: Promise<void> = Promise.resolve();
  let cancel: (() => void) | undefined;

  const rotate = async (): Promise<void> => {
    await current.file.sync();
    await current.file.close();
    current = await openNewest(disk, pathOf, current.number + 1);
    for (const number of await numbers()) {
      if (number <= current.number - limits.files) await disk.remove(pathOf(number));
    }
  };

  const write = async (lines: readonly string[]): Promise<void> => {
    const bytes = Buffer.from(`${current.torn ? '\n' : ''}${lines.join('\n')}\n`);
    if (current.sizeBytes > 0 && current.sizeBytes + bytes.length > limits.fileBytes) await rotate();
    await current.file.write(bytes, BigInt(current.sizeBytes));
    current.sizeBytes += bytes.length;
    current.torn = false;
  };

  const flush = (): Promise<void> => {
    cancel?.();
    cancel = undefined;
    writing = writing.then(async () => {
      if (waiting.length === 0) return;
      const told = lost;
      const lines = told === 0 ? waiting : [...waiting, lostLine(clock, told)];
      waiting = [];
      waitingChars = 0;
      try {
        await write(lines);
        lost -= told;
        failed = false;
      } catch (error) {
        lost += lines.length - Number(told > 0);
        if (!failed) log.error({ error: String(error) }, 'The audit log cannot be written');
        failed = true;
      }
    });
    return writing;
  };

  return {
    add: (line) => {
      if (waitingChars + line.length > limits.buffered) {
        lost += 1;
        return;
      }
      waiting.push(line);
      waitingChars += line.length;
      cancel ??= clock.after(flushMs, () => void flush());
    },
    read: async function* () {
      await flush();
      // One that was removed meanwhile, because newer ones took its place, is passed over.
      for (const number of await numbers())
        if (await disk.exists(pathOf(number))) yield* chunksOf(disk, pathOf(number));
    },
    close: async () => {
      await flush();
      await current.file.sync();
      await current.file.close();
    },
  };
};

/** Begins as other lines do. */
const lostLine = (clock: Clock, lost: number): string =>
  JSON.stringify({ at: new Date(clock.now()).toISOString(), lost });

interface Current {
  readonly number: number;
  readonly file: OpenFile;
  sizeBytes: number;
  /** A crash cut the last line short: it is ended before the next. */
  torn: boolean;
}

/** Opens a file to append to, and makes it when it is not there. */
const openNewest = async (
  disk: Disk,
  pathOf: (number: number) => string,
  number: number,
): Promise<Current> => {
  const path = pathOf(number);
  if (!(await disk.exists(path))) await disk.replaceText(path, '', 0o600);
  const file = await disk.open(path, 'write');
  const sizeBytes = Number(file.sizeBytes);
  const last = Uint8Array.of(newline);
  if (sizeBytes > 0) await file.read(last, file.sizeBytes - 1n);
  return { number, file, sizeBytes, torn: last[0] !== newline };
};
