import type { Disk } from '../drivers/disk.ts';
import { type EngineFiles, removeAll } from './settings.ts';

// A file without content that is worth its room: when the disk of a member is full it is given up, so that
// etcd can
// start and what fills the disk can be cleared away.

/** Of the ballast's size: below this much room it is given up, and with that much it is made again. */
const givenUpBelow = 0.25;
const madeAbove = 3;

/** What is done about the ballast. */
export const ballastRule = (
  freeBytes: bigint,
  sizeBytes: number,
  isThere: boolean,
): 'make' | 'give up' | 'leave' => {
  const free = Number(freeBytes);
  if (isThere) return free < sizeBytes * givenUpBelow ? 'give up' : 'leave';
  return free >= sizeBytes * madeAbove ? 'make' : 'leave';
};

/** Answers whether the ballast is there. */
export const keepBallast = async (disk: Disk, files: EngineFiles, sizeBytes: number): Promise<boolean> => {
  const isThere = await disk.exists(files.ballast);
  const { freeBytes } = await disk.space(files.folder);
  const rule = ballastRule(freeBytes, sizeBytes, isThere);
  if (rule === 'give up') await removeAll(disk, files.ballast);
  if (rule === 'make') await make(disk, files.ballast, sizeBytes);
  return rule === 'leave' ? isThere : rule === 'make';
};

const pieceBytes = 1_048_576;

/** Written out, as a file with holes takes no room. */
const make = async (disk: Disk, path: string, sizeBytes: number): Promise<void> => {
  await disk.replaceText(path, '', 0o600);
  const file = await disk.open(path, 'write');
  try {
    const piece = Buffer.alloc(pieceBytes);
    for (let at = 0; at < sizeBytes; at += pieceBytes)
      await file.write(piece.subarray(0, Math.min(pieceBytes, sizeBytes - at)), BigInt(at));
    await file.sync();
  } finally {
    await file.close();
  }
};
