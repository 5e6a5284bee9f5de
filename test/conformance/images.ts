import { createHash } from 'node:crypto';
import { qcow2Layout } from '../../src/codec/qcow2-stream.ts';
import { vhdFooter, vhdGeometry, vhdHeader } from '../../src/codec/vhd.ts';
import type { Ref } from '../../src/model/types.ts';
import { imageFormats } from '../../src/rules/images/formats.ts';
import type { TransferFormat } from '../../src/rules/images/image.ts';
import { imageBytes } from '../../src/rules/images/image-bytes.ts';
import { noneOf } from '../../src/rules/images/present.ts';
import { openDiskHere } from '../../src/rules/open-disk.ts';
import type { Value } from '../../src/std/value.ts';
import { arriving, type MemoryDisk, memoryDisk } from '../rules/images/memory-disk.ts';
import type { Case } from './cases.ts';
import { inLab, type Lab, scripts } from './scripts/lab.ts';
import { against, skip } from './subject.ts';

const MiB = 1 << 20;
const ours = 'f0000000-0000-4000-8000-000000000001';
const signal = new AbortController().signal;
const progress = (): void => {};

const formatOf = (name: string): TransferFormat =>
  imageFormats.get(name) ?? skip(`there is no format ${name}`);

interface Fill {
  readonly offset: number;
  readonly length: number;
  readonly byte: number;
}

/** A new disk of the lab. */
const newDisk = async (lab: Lab, sizeBytes: bigint): Promise<Ref<'VDI'>> => {
  const [sr] = [...lab.sandbox.store.committed.all('SR')].find(([, { shared, content_type }]) => {
    return shared && content_type === 'user';
  }) as [Ref<'SR'>, unknown];
  const facts = { name_label: 'disk', name_description: '', SR: sr, virtual_size: sizeBytes, type: 'user' };
  const settings = { sharable: false, read_only: false, other_config: new Map() };
  const made = await lab.ask('VDI.create', new Map(Object.entries({ ...facts, ...settings })) as Value);
  if (made.error !== undefined) throw new Error(`No disk could be made: ${made.error}`);
  return made;
};

/** Writes to a disk as a guest does. */
const writeTo = async (lab: Lab, vdi: Ref<'VDI'>, pieces: readonly (readonly [Uint8Array, bigint])[]) => {
  const wanted = { vdi, how: 'write', operation: 'fill' } as const;
  const disk = await openDiskHere(lab.sandbox.coordinator.services, wanted, signal);
  for (const [bytes, position] of pieces) await disk.write(bytes, position);
  await disk.close();
};

const filled = async (lab: Lab, size: number, fill: readonly Fill[]): Promise<Ref<'VDI'>> => {
  const vdi = await newDisk(lab, BigInt(size));
  const pieces = fill.map(
    ({ offset, length, byte }) => [Buffer.alloc(length, byte), BigInt(offset)] as const,
  );
  await writeTo(lab, vdi, pieces);
  return vdi;
};

/** An image as a client gets it, after which the disk is gone. */
const given = async (lab: Lab, format: string, vdi: Ref<'VDI'>, base?: Ref<'VDI'>): Promise<Buffer> => {
  const only = base === undefined ? '' : `&base=${base}`;
  const reply = await lab.http('GET', `/export_raw_vdi?vdi=${vdi}&format=${format}${only}`);
  await lab.ask('VDI.destroy', vdi);
  if (reply.status !== 200) throw new Error(`${reply.status}: ${reply.body}`);
  const said = reply.headers['content-length'];
  if (said !== undefined && Number(said) !== reply.bytes.length)
    throw new Error(`It said ${said} and gave ${reply.bytes.length} bytes`);
  return reply.bytes;
};

const taken = async (format: string, bytes: Buffer, sizeBytes: bigint): Promise<MemoryDisk> => {
  const disk = memoryDisk(sizeBytes);
  await formatOf(format).take({ disk, bytes: imageBytes(arriving(bytes)), progress, signal });
  return disk;
};

/** Whether an image that a client sends is written, and why not is said. */
const accepts = async (lab: Lab, format: string, bytes: Buffer, sizeBytes: bigint) => {
  const vdi = await newDisk(lab, sizeBytes);
  const reply = await lab.http('PUT', `/import_raw_vdi?vdi=${vdi}&format=${format}`, bytes);
  await lab.ask('VDI.destroy', vdi);
  return { accepted: reply.status === 200 };
};

const size = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64BE(at));

/** The numbers of blocks that a stream has, and the sectors where they are. */
const batIn = (bytes: Buffer): readonly (readonly [block: number, sector: number])[] => {
  const bat = size(bytes, 512 + 16);
  const entries = bytes.readUInt32BE(512 + 28);
  return Array.from(
    { length: entries },
    (_, block) => [block, bytes.readUInt32BE(bat + block * 4)] as const,
  ).filter(([, sector]) => sector !== 0xffffffff);
};

const vhdFacts = (bytes: Buffer) => ({
  type: bytes.readUInt32BE(60),
  'data offset': size(bytes, 16),
  'header offset': size(bytes, 16),
  'BAT offset': size(bytes, 512 + 16),
  'block size': bytes.readUInt32BE(512 + 32),
  'original size': size(bytes, 40),
  'current size': size(bytes, 48),
  'geometry [cylinders, heads, sectors]': [bytes.readUInt16BE(56), bytes.readUInt8(58), bytes.readUInt8(59)],
  'BAT entries': bytes.readUInt32BE(512 + 28),
  'BAT bytes': Math.ceil((bytes.readUInt32BE(512 + 28) * 4) / 512) * 512,
  'BAT {block: sector}': Object.fromEntries(batIn(bytes)),
  'sector bitmap bytes': 512,
  'final footer offset': bytes.lastIndexOf('conectix'),
  'file length': bytes.length,
});

const writeVhd = async (lab: Lab, { given: { source, virtual_size, fill } }: Case): Promise<unknown> => {
  if (source !== 'raw' || fill === undefined) return skip('no storage here keeps its disks as VHD files');
  return vhdFacts(await given(lab, 'vhd', await filled(lab, virtual_size, fill)));
};

interface File {
  readonly id: string;
  readonly blocks: readonly number[];
}

/** A disk of a chain of files, the top one first: a block has what the first file that has it says. */
const chained = async (lab: Lab, chain: readonly File[]): Promise<Ref<'VDI'>> => {
  const vdi = await newDisk(lab, 64n * BigInt(MiB));
  const pieces = [...chain].reverse().flatMap(({ id, blocks }) =>
    // A sector is what a disk is written by.
    blocks.map((block) => {
      return [Buffer.alloc(512, `${id}, block ${block} `), BigInt(block * 2 * MiB)] as const;
    }),
  );
  await writeTo(lab, vdi, pieces);
  return vdi;
};

const included = async (lab: Lab, { given: facts }: Case): Promise<unknown> => {
  const base = facts['chain of base (leaf first)'] as readonly File[] | null;
  const disk = await chained(lab, facts['chain of the VDI (leaf first)']);
  const other = base === null ? undefined : await chained(lab, base);
  const theirs = other === undefined ? 'none' : await lab.ask('VDI.get_uuid', other);
  const bytes = await given(lab, 'vhd', disk, other);
  if (other !== undefined) await lab.ask('VDI.destroy', other);
  const parent = bytes.toString('hex', 512 + 40, 512 + 56);
  const names = new Map([
    [theirs.replaceAll('-', ''), `footer uuid of ${base?.[0]?.id}`],
    ['0'.repeat(32), 'of no one'],
  ]);
  return {
    type: bytes.readUInt32BE(60),
    'parent uuid': names.get(parent),
    blocks: batIn(bytes).map(([block]) => block),
  };
};

const footer = ({ given: facts }: Case): unknown => {
  const kind = ({ 2: 'fixed', 3: 'dynamic', 4: 'differencing' } as const)[facts['type'] as 2 | 3 | 4];
  const { uuid, creator } = facts as { uuid: string; creator: string };
  if (facts['time'] !== 0 || facts['creator host OS'] !== 0)
    return skip('streams of ours say no time and no system');
  return digest(vhdFooter({ sizeBytes: BigInt(facts['current size']), kind, uuid, creator }), 64, 92);
};

const header = ({ given: facts }: Case): unknown =>
  digest(vhdHeader(facts['BAT entries'], undefined, facts['BAT offset']), 36, 64);

const digest = (bytes: Buffer, checksum: number, shown: number) => ({
  'checksum (hex)': bytes.toString('hex', checksum, checksum + 4),
  [`sha1 of the ${bytes.length} bytes`]: createHash('sha1').update(bytes).digest('hex'),
  [`bytes 0-${shown - 1} (hex)`]: bytes.toString('hex', 0, shown),
});

/** A stream whose blocks are where the case says. */
const laidOut = (facts: Case['given']): Buffer => {
  const [batOffset, entries] = [facts['BAT offset'] as number, facts['BAT entries'] as number];
  const sizeBytes = BigInt(entries * 2 * MiB);
  const end = vhdFooter({ sizeBytes, kind: 'dynamic', uuid: ours });
  const blocks = Object.entries(facts['BAT {block: sector}'] as Record<string, number>);
  const after = Math.max(batOffset + 512, ...blocks.map(([, sector]) => sector * 512 + 512 + 2 * MiB));
  const bytes = Buffer.alloc(after + 512, 0xff);
  end.copy(bytes);
  vhdHeader(entries, undefined, batOffset).copy(bytes, 512);
  for (const [block, sector] of blocks) bytes.writeUInt32BE(sector, batOffset + Number(block) * 4);
  end.copy(bytes, after);
  return bytes;
};

const readVhd = async ({ given: facts, then }: Case): Promise<unknown> => {
  const disk = await taken('vhd', laidOut(facts), BigInt(facts['BAT entries'] * 2 * MiB));
  const written = disk.written.map(({ position, length }) => [Number(position), length]);
  return { [Object.keys(then)[0] as string]: written };
};

const resealed = (footerBytes: Buffer): void => {
  footerBytes.writeUInt32BE(0, 64);
  const sum = footerBytes.reduce((total, byte) => total + byte, 0);
  footerBytes.writeUInt32BE(~sum >>> 0, 64);
};

const resealedHeader = (bytes: Buffer): void => {
  bytes.writeUInt32BE(0, 36);
  bytes.writeUInt32BE(~bytes.reduce((total, byte) => total + byte, 0) >>> 0, 36);
};

/** What a client demands of a stream, this reader demands too. */
const acceptsVhd = async (lab: Lab, { given: facts }: Case): Promise<unknown> => {
  const except = facts['a good 8 MiB stream, except'] as Record<string, any>;
  const batOffset = except['BAT offset'] ?? 2048;
  const bytes = laidOut({ 'BAT offset': batOffset, 'BAT entries': 4, 'BAT {block: sector}': { 1: 5 } });
  const footers = [bytes.subarray(0, 512), bytes.subarray(bytes.length - 512)];
  for (const one of footers) {
    if (except['data offset']) one.writeBigUInt64BE(BigInt(except['data offset']), 16);
    if (except['original size']) one.writeBigUInt64BE(BigInt(except['original size']), 40);
    if (except['type']) one.writeUInt32BE(except['type'], 60);
    resealed(one);
    if (except['footer checksum']) one.writeUInt32BE(1, 64);
  }
  if (except['final footer']) {
    footers[1]?.fill(7, 68, 84);
    resealed(footers[1] as Buffer);
  }
  if (except['BAT entries']) {
    bytes.writeUInt32BE(except['BAT entries'], 512 + 28);
    resealedHeader(bytes.subarray(512, 1536));
  }
  return accepts(lab, 'vhd', bytes, 8n * BigInt(MiB));
};

const tooLarge = async (lab: Lab, { given: facts, when, then }: Case): Promise<unknown> => {
  const vdi = await newDisk(lab, BigInt(facts['VDI.virtual_size']));
  const reply = await lab.http('GET', `/export_raw_vdi?vdi=${vdi}&format=${when['format']}`);
  await lab.ask('VDI.destroy', vdi);
  const [code, _, ...rest] = then['error'];
  const missing = [code, vdi, ...rest].filter((word) => !reply.body.includes(word));
  return missing.length === 0 && reply.status !== 200 ? then : { status: reply.status, body: reply.body };
};

/** What is byte for byte in the parts of an image is asked of what makes them; all else of whole images. */
export const vhdLayouts = inLab(
  scripts({
    geometry: async (_, { given: { size: bytes } }) => ({
      '[cylinders, heads, sectors]': vhdGeometry(BigInt(bytes)),
    }),
    write_vhd_stream: writeVhd,
    included_blocks: included,
    marshal_footer: async (_, one) => footer(one),
    marshal_header: async (_, one) => header(one),
    read_vhd_stream: (_, one) => readVhd(one),
    client_accepts_vhd: acceptsVhd,
    export_raw_vdi: tooLarge,
  }),
);

const CLUSTER = 65_536;
const hex = (bytes: Buffer, at: number): string => bytes.toString('hex', at, at + 8);

/** Entries of a table that are in use, by number. */
const entries = (
  bytes: Buffer,
  at: number,
  count: number,
  first = 0,
): readonly (readonly [number, string])[] =>
  Array.from({ length: count }, (_, index) => [first + index, hex(bytes, at + index * 8)] as const).filter(
    ([, entry]) => entry !== '0'.repeat(16),
  );

const placeOf = (entry: string): number => Number(BigInt(`0x${entry}`) & 0x00fffffffffffe00n);

const qcow2Facts = (head: Buffer, length: bigint) => {
  const l1 = entries(head, size(head, 40), head.readUInt32BE(36));
  const l2 = l1.flatMap(([table, entry]) => entries(head, placeOf(entry), 8192, table * 8192));
  const countTable = size(head, 48);
  return {
    version: head.readUInt32BE(4),
    'header length': head.readUInt32BE(100),
    'backing file offset': size(head, 8),
    'virtual size': size(head, 24),
    'L1 entries': head.readUInt32BE(36),
    'L1 offset': size(head, 40),
    'refcount table offset': countTable,
    'refcount table clusters': head.readUInt32BE(56),
    'refcount blocks': entries(head, countTable, head.readUInt32BE(56) * 8192).length,
    'first refcount block offset': size(head, countTable),
    'first L2 offset': l1[0] ? placeOf(l1[0][1]) : null,
    'L2 tables': l1.length,
    'first data offset': l2[0] ? placeOf(l2[0][1]) : null,
    'data clusters': l2.length,
    'L1 {index: entry (hex)}': Object.fromEntries(l1),
    'L2 {guest cluster: entry (hex)}': Object.fromEntries(l2),
    'file length': Number(length),
  };
};

const writeQcow2 = async (lab: Lab, { given: facts, then }: Case): Promise<unknown> => {
  const { virtual_size, fill } = facts;
  const ranges = facts['allocated_clusters (first, last)'] as
    | readonly (readonly [number, number])[]
    | undefined;
  const found = async () => {
    if (ranges === undefined) {
      const bytes = await given(lab, 'qcow2', await filled(lab, virtual_size, fill));
      return qcow2Facts(bytes, BigInt(bytes.length));
    }
    const present = noneOf(Math.ceil(virtual_size / CLUSTER));
    for (const [first, last] of ranges) for (let one = first; one <= last; one += 1) present.add(one);
    const layout = qcow2Layout(BigInt(virtual_size), present);
    return qcow2Facts(Buffer.concat([...layout.head()]), layout.lengthBytes);
  };
  const all = await found();
  // A large image is recorded by a few of its entries.
  const some = (name: keyof typeof all) => {
    const wanted = Object.keys(then[name]);
    return Object.fromEntries(Object.entries(all[name] as object).filter(([key]) => wanted.includes(key)));
  };
  const sampled = ['L1 {index: entry (hex)}', 'L2 {guest cluster: entry (hex)}'] as const;
  return { ...all, ...Object.fromEntries(sampled.map((name) => [name, some(name)])) };
};

/** A stream of a kind that is asked for, with two tables of the second level. */
const acceptsQcow2 = async (lab: Lab, { given: facts }: Case): Promise<unknown> => {
  const except = facts['stream as written above, except'] as Record<string, any>;
  const sizeBytes = 1n << 30n;
  const fill = [
    { offset: 0, length: 4, byte: 1 },
    { offset: 512 * MiB, length: 4, byte: 2 },
  ];
  const bytes = await given(lab, 'qcow2', await filled(lab, Number(sizeBytes), fill));
  const [l1, cluster] = [size(bytes, 40), CLUSTER];
  if (except['version'] === 2) bytes.writeUInt32BE(2, 4);
  if (except['compressed']) {
    const l2 = placeOf(hex(bytes, l1));
    bytes.writeBigUInt64BE(bytes.readBigUInt64BE(l2) | (1n << 62n), l2);
  }
  if (except['L2 tables']) {
    // Header, counts, first tables; then table, data, table, data.
    const [first, second] = [placeOf(hex(bytes, l1)), placeOf(hex(bytes, l1 + 8))];
    const [table, data] = [
      bytes.subarray(second, second + cluster),
      bytes.subarray(second + cluster, second + 2 * cluster),
    ];
    const moved = Buffer.concat([data, table]);
    moved.copy(bytes, second);
    bytes.writeBigUInt64BE(BigInt(second) | (1n << 63n), first);
    bytes.writeBigUInt64BE(BigInt(second + cluster) | (1n << 63n), l1 + 8);
  }
  return accepts(lab, 'qcow2', bytes, sizeBytes);
};

export const qcow2Layouts = inLab(
  scripts({
    write_qcow2_stream: async (lab, one) => against(await writeQcow2(lab, one), one.then),
    import_raw_vdi: acceptsQcow2,
  }),
);
