// What the devices of a guest keep: files of its folder, which go back to the toolstack when it ends.
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Disk, OpenFile } from '../../../drivers/disk.ts';
import { type Kept, keptIn } from '../../../drivers/hypervisor/hypervisor.ts';
import { type Folder, readRecord } from './folder.ts';
import { tpmContents } from './tpm.ts';

/** In base64. More of it is not kept: rows of the pool hold no more. */
const KEPT_CHARS_MAX = 512 * 1024;
/** Several times what firmware has. */
const VARIABLES_BYTES_MAX = 8 * 1024 * 1024;

/** As it is now; nothing of a guest that is not there. */
export const keptInFolder = async (disk: Disk, folder: Folder): Promise<Kept> => {
  const record = await readRecord(disk, folder);
  if (record === undefined) return new Map();
  const tpm = await tpmContents(disk, folder, record);
  const variables = await variablesOf(disk, folder);
  const all = Object.entries({ tpm, variables }).flatMap(([name, value]) =>
    value === undefined || value.length > KEPT_CHARS_MAX ? [] : [[name, value] as const],
  );
  return keptIn(all);
};

/** Firmware has room for many, of which most is empty. */
const variablesOf = async (disk: Disk, folder: Folder): Promise<string | undefined> => {
  const path = folder.file('variables');
  if (!(await disk.exists(path))) return undefined;
  const file = await disk.open(path, 'read');
  try {
    const bytes = await wholeOf(file);
    return bytes && gzipSync(bytes).toString('base64');
  } finally {
    await file.close();
  }
};

const wholeOf = async (file: OpenFile): Promise<Buffer | undefined> => {
  if (file.sizeBytes > BigInt(VARIABLES_BYTES_MAX)) return undefined;
  const bytes = Buffer.alloc(Number(file.sizeBytes));
  return bytes.subarray(0, await file.read(bytes, 0n));
};

/**
 * What an earlier guest has left in firmware with as much room; undefined of any other, as of a VM that came
 * from elsewhere: its firmware begins anew.
 */
export const variablesIn = (kept: Kept | undefined, sizeBytes: bigint): Buffer | undefined => {
  const packed = Buffer.from(kept?.get('variables') ?? '', 'base64');
  try {
    const bytes = gunzipSync(packed, { maxOutputLength: VARIABLES_BYTES_MAX });
    return BigInt(bytes.length) === sizeBytes ? bytes : undefined;
  } catch {
    return undefined;
  }
};
