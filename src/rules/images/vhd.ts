import {
  BITMAP_BYTES,
  BLOCK_BYTES,
  batBytes,
  blocksIn,
  checkVhdEnd,
  readBat,
  readVhdHead,
  runsIn,
  SECTOR_BYTES,
  VHD_BYTES_MAX,
  VHD_HEAD_BYTES,
  vhdLayout,
} from '../../codec/vhd.ts';
import type { Stretch } from './filled.ts';
import { DiskTooSmall, halves, type TransferFormat, writeWithin } from './image.ts';
import { readAhead, writeBehind } from './pieces.ts';
import { presentOf } from './present.ts';

/** VHD, with a parent where only changes are given. */
export const vhd: TransferFormat = {
  type: 'application/vhd',
  sizeBytesMax: VHD_BYTES_MAX,
  differs: true,
  give: async ({ uuid, disk, base, progress, signal, begin }) => {
    const { looked, sent } = halves(disk.sizeBytes, progress);
    const compared = base && { base };
    const present = await presentOf({ disk, ...compared, unitBytes: BLOCK_BYTES, tell: looked, signal });
    const parent = base && { parent: { uuid: base.uuid, name: `${base.uuid}.vhd` } };
    const layout = vhdLayout(disk.sizeBytes, present.all(), { uuid, ...parent });
    const write = begin(layout.lengthBytes);
    await write(layout.head);
    const bitmap = Buffer.alloc(BITMAP_BYTES, 0xff);
    for await (const { position, bytes } of readAhead(disk, stretchesOf(present.all()), BLOCK_BYTES)) {
      signal.throwIfAborted();
      await write(bitmap);
      await write(bytes);
      sent(position);
    }
    await write(layout.footer);
  },
  take: async ({ disk, bytes, progress, signal }) => {
    const head = readVhdHead(await bytes.exactly(VHD_HEAD_BYTES));
    if (blocksIn(head.sizeBytes) > blocksIn(disk.sizeBytes)) throw new DiskTooSmall(head.sizeBytes);
    await bytes.skipTo(head.batOffset);
    const blocks = readBat(await bytes.exactly(batBytes(head)), head);
    await writeBehind(async ({ piece, write }) => {
      for (const [index, { block, position }] of blocks.entries()) {
        const data = await piece(BLOCK_BYTES);
        signal.throwIfAborted();
        await bytes.skipTo(position);
        const bitmap = await bytes.exactly(BITMAP_BYTES);
        await bytes.fillAll(data);
        const begin = BigInt(block) * BigInt(BLOCK_BYTES);
        for (const [from, to] of runsIn(bitmap)) {
          write(() => writeWithin(disk, data.subarray(from, to), begin + BigInt(from)));
        }
        progress((index + 1) / blocks.length);
      }
    });
    checkVhdEnd(await bytes.exactly(SECTOR_BYTES), head);
  },
};

const stretchesOf = function* (blocks: Iterable<number>): Generator<Stretch> {
  const lengthBytes = BigInt(BLOCK_BYTES);
  for (const block of blocks) yield { position: BigInt(block) * lengthBytes, lengthBytes };
};
