import type { StorageCall } from '../../drivers/storage/storage.ts';
import type { Ref } from '../../model/types.ts';
import type { Services } from '../../objects/services.ts';
import { lesser } from '../../std/bigints.ts';
import type { View } from '../../store/view.ts';
import { pbdOf } from '../storage-rows.ts';
import type { Stretch } from './filled.ts';

const BLOCK_BYTES = 65_536n;

/**
 * Where a disk may differ from another, as its storage keeps track of both. Undefined: it does not, or cannot
 * tell, and both have to be read.
 */
export const trackedChanges = async (
  { view, services }: { readonly view: View; readonly services: Services },
  disk: Ref<'VDI'>,
  base: Ref<'VDI'>,
  call: StorageCall,
): Promise<readonly Stretch[] | undefined> => {
  const [one, other] = [view.require('VDI', disk), view.require('VDI', base)];
  const { tracking } = services.storage;
  const areTracked = one.cbt_enabled && other.cbt_enabled && one.SR === other.SR;
  if (tracking === undefined || !areTracked || pbdOf(view, one.SR, services.host) === undefined)
    return undefined;
  const { uuid } = view.require('SR', one.SR);
  try {
    const bitmap = await tracking.changedBlocks(uuid, other.location, one.location, call);
    return stretchesIn(Buffer.from(bitmap, 'base64'), one.virtual_size);
  } catch (error) {
    call.signal?.throwIfAborted();
    services.log.info({ error, vdi: disk }, 'Which blocks have changed is not known: the disks are read');
    return undefined;
  }
};

/** Of a bit for each block of 64 KiB, the first in the highest bit of the first byte. */
export const stretchesIn = (bits: Buffer, sizeBytes: bigint): readonly Stretch[] => {
  const found: { position: bigint; lengthBytes: bigint }[] = [];
  for (let block = 0; block < bits.length * 8; block += 1) {
    const position = BigInt(block) * BLOCK_BYTES;
    if (position >= sizeBytes || ((bits[block >> 3] ?? 0) & (0x80 >> (block & 7))) === 0) continue;
    const lengthBytes = lesser(BLOCK_BYTES, sizeBytes - position);
    const last = found.at(-1);
    if (last !== undefined && last.position + last.lengthBytes === position) last.lengthBytes += lengthBytes;
    else found.push({ position, lengthBytes });
  }
  return found;
};
