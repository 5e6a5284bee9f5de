import { type Args, bytesOf, failure, type Methods, Refusal, textOf } from '../script.ts';
import { BLOCK_BYTES, blocksOf } from './blocks.ts';
import { type Compared, changedBetween, contentsWithout } from './changed.ts';
import { type OpenFolder, releaseImage } from './folder.ts';
import { VDI_TYPE, type VolumeNote } from './volumes.ts';

/** A byte of the answer is about this much. */
const BYTE_BYTES = 8 * BLOCK_BYTES;

export const trackingMethods = (folderOf: (args: Args) => OpenFolder): Methods => {
  const track = async (args: Args, tracked: boolean): Promise<void> => {
    const { notes, turns } = folderOf(args);
    const key = textOf(args, 'key');
    await turns.noting(async () => notes.write(key, { ...(await notes.read(key)), tracked }));
  };

  const comparedOf = async ({ notes, images }: OpenFolder, key: string): Promise<Compared> => {
    const { image, past, tracked } = await notes.read(key);
    if (!tracked) throw failure('Changed blocks of the disk are not tracked; enable it, then snapshot', key);
    // Who writes it has changes that are in no table yet.
    if (past === undefined && (await images.isLocked(image))) {
      throw new Refusal('VDI_IN_USE', [key, 'list_changed_blocks']);
    }
    return { contents: past ?? { image, except: [] }, sizeBytes: await images.sizeOf(image) };
  };

  return {
    'Volume.enable_cbt': (args) => track(args, true),
    'Volume.disable_cbt': (args) => track(args, false),
    'Volume.data_destroy': async (args) => {
      const folder = folderOf(args);
      const { notes, images, turns } = folder;
      const key = textOf(args, 'key');
      const note = await notes.read(key);
      if (note.past !== undefined) return;
      if (await images.isHeld(note.image)) throw new Refusal('VDI_IN_USE', [key, 'data_destroy']);
      const sizeBytes = await images.sizeOf(note.image);
      const past = await contentsWithout(folder, note.image, sizeBytes);
      // One of its size without anything in it, so that it is a disk like others to all that look at it.
      const image = await images.create('raw', sizeBytes);
      const keys: VolumeNote['keys'] = { ...note.keys, [VDI_TYPE]: 'cbt_metadata' };
      await turns.noting(async () => notes.write(key, { ...(await notes.read(key)), image, past, keys }));
      await releaseImage(folder, note.image);
    },
    'Volume.list_changed_blocks': async (args) => {
      const folder = folderOf(args);
      const [offset, length] = [bytesOf(args, 'offset'), bytesOf(args, 'length')];
      if (offset % BYTE_BYTES !== 0)
        throw failure(`The offset must be a multiple of ${BYTE_BYTES}`, `${offset}`);
      const [key, key2] = [textOf(args, 'key'), textOf(args, 'key2')];
      const [from, to] = [await comparedOf(folder, key), await comparedOf(folder, key2)];
      const { bits } = key === key2 ? blocksOf(to.sizeBytes) : await changedBetween(folder, from, to);
      const bitmap = bits.subarray(offset / BYTE_BYTES, Math.ceil((offset + length) / BYTE_BYTES));
      return { granularity: BLOCK_BYTES, bitmap: bitmap.toString('base64') };
    },
  };
};
