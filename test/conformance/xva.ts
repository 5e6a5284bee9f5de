import { createHash } from 'node:crypto';
import { tarEnd, tarHead } from '../../src/codec/tar.ts';
import { blockSum, packingOf } from '../../src/codec/xva.ts';
import { imageBytes } from '../../src/rules/images/image-bytes.ts';
import { disksGiven, disksTaken, tarFile } from '../../src/rules/xva/disks.ts';
import { tarEntries } from '../../src/rules/xva/entries.ts';
import { refusingXva } from '../../src/rules/xva/faults.ts';
import { arriving, type MemoryDisk, memoryDisk } from '../rules/images/memory-disk.ts';
import type { Case } from './cases.ts';
import { against, byCall, outcome, skip } from './subject.ts';

const signal = new AbortController().signal;
const tell = (): void => {};

export const joined = async (pieces: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return Buffer.concat(all);
};

interface Extent {
  readonly length: number;
  readonly flags: number;
}

/** A disk that says where it has something as the case has it: holes and zeros have flags. */
const diskOf = async ({ virtual_size, fill, source, extents }: Case['given']): Promise<MemoryDisk> => {
  const disk = memoryDisk(BigInt(virtual_size), source === 'raw' && virtual_size > 1 << 26);
  for (const { offset, length, byte } of fill) await disk.write(Buffer.alloc(length, byte), BigInt(offset));
  if (source !== 'nbd') return disk;
  const said = (extents as readonly Extent[]).map(({ length, flags }) => ({
    lengthBytes: BigInt(length),
    zero: flags !== 0,
  }));
  return { ...disk, extents: async () => said };
};

/** Every entry as cases have it: its name, its size, and the text of a sum. */
const entriesIn = async (file: Buffer): Promise<unknown> => {
  const entries = tarEntries(imageBytes(arriving(file)));
  const all: (readonly [string, number, string | null])[] = [];
  for (let entry = await entries.peek(); entry !== undefined; entry = await entries.peek()) {
    const bytes = await entries.take(1 << 24);
    all.push([entry.name, entry.sizeBytes, entry.name.endsWith('.xxhash') ? bytes.toString() : null]);
  }
  return all;
};

const write = async ({ given }: Case): Promise<unknown> => {
  const disks = given['disks'] as readonly Case['given'][];
  if (disks.some(({ source }) => source === 'vhd'))
    return skip('no storage here keeps its disks as VHD files');
  if (disks.some((disk) => disk['idle_at'] !== undefined))
    return skip('blocks of nothing are read, and never written');
  const parts = [await joined(tarFile('ova.xml', Buffer.alloc(given['ova.xml length'])))];
  const give = disksGiven();
  for (const disk of [...disks].sort((one, other) => (one['id'] < other['id'] ? -1 : 1))) {
    parts.push(await joined(give({ id: disk['id'], disk: await diskOf(disk), tell, signal })));
  }
  const file = Buffer.concat([...parts, tarEnd()]);
  return {
    'entries [name, size, content if a checksum]': await entriesIn(file),
    'file length': file.length,
  };
};

const read = async ({ given, then }: Case): Promise<unknown> => {
  const entries = given['entries after ova.xml [name, size, byte or content]'] as [string, number, any][];
  const files = entries.map(async ([name, size, content]) =>
    joined(tarFile(name, typeof content === 'string' ? Buffer.from(content) : Buffer.alloc(size, content))),
  );
  const end = given['then'] === 'end of stream' ? [] : [tarEnd()];
  const file = Buffer.concat([...(await Promise.all(files)), ...end]);
  const taking = disksTaken({
    entries: tarEntries(imageBytes(arriving(file))),
    inline: given['export_vsn'] >= 2,
    force: given['force'],
    isBlank: true,
  });
  const listed = given['disks in ova.xml'] as { id: string; virtual_size: number }[];
  const writes: unknown[] = [];
  const found = await outcome(() =>
    refusingXva(async () => {
      for (const { id, virtual_size } of listed.sort((one, other) => (one.id < other.id ? -1 : 1))) {
        const disk = memoryDisk(BigInt(virtual_size));
        const noting: MemoryDisk = {
          ...disk,
          write: async (bytes, position) => {
            writes.push([id, Number(position), bytes.length, bytes[0]]);
          },
        };
        await taking.take({ id, sizeBytes: disk.sizeBytes, disk: noting, tell, signal });
      }
      return { 'writes [id, offset, length, byte]': writes };
    }),
  );
  const { error } = found as { error?: readonly string[] };
  if (error?.[0] === 'IMPORT_ERROR') return against([error[0], error.length], [then['error']?.[0], 2]);
  // What is zeros in the file is zeros on a new disk already.
  const expected = then['writes [id, offset, length, byte]'] as readonly (readonly unknown[])[] | undefined;
  return expected === undefined
    ? found
    : against(found, { 'writes [id, offset, length, byte]': expected.filter(([, , , byte]) => byte !== 0) });
};

const head = ({ given: { name, size, mtime } }: Case): unknown => {
  const bytes = tarHead(name, size, mtime);
  const text = (from: number, to: number): string => bytes.toString('latin1', from, to);
  return {
    mode: text(100, 107),
    'uid, gid': text(108, 115),
    size: text(124, 135),
    mtime: text(136, 147),
    'checksum (decimal)': Number.parseInt(text(148, 155), 8),
    'checksum field (8 bytes)': text(148, 156),
    'type byte': bytes[156],
    magic: text(257, 265).replaceAll('\0', ''),
    'sha1 of the 512 bytes': createHash('sha1').update(bytes).digest('hex'),
  };
};

const sums = async ({ given: { data } }: Case): Promise<unknown> => {
  const bytes = data.text === undefined ? Buffer.alloc(data.length, data.byte) : Buffer.from(data.text);
  return { '.xxhash': await blockSum('.xxhash', bytes), '.checksum': await blockSum('.checksum', bytes) };
};

export const xvaLayout = byCall({
  write_xva: write,
  read_xva_disks: read,
  tar_header: head,
  block_checksum: sums,
  detect_container: ({ given }) => ({
    container: packingOf(Buffer.from(given['first 512 bytes'].replace(/bytes | /g, ''), 'hex')),
  }),
});
