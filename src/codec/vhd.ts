import { demandOf } from './image-refused.ts';

// VHD, the image format of the Xen world, as it goes over a wire: a copy of the footer, the header, a table
// that says where each block is (BAT), the blocks, each behind a bitmap of its sectors, and the footer.
// Numbers are big-endian. https://www.microsoft.com/en-us/download/details.aspx?id=23850

export const SECTOR_BYTES = 512;
export const BLOCK_BYTES = 2 * 1024 * 1024;
/** One bit for each sector of a block. */
export const BITMAP_BYTES = SECTOR_BYTES;
/** The largest disk that the format is used for. */
export const VHD_BYTES_MAX = 2040n << 30n;

const FOOTER_BYTES = 512;
const HEADER_BYTES = 1024;
export const VHD_HEAD_BYTES = FOOTER_BYTES + HEADER_BYTES;
/** A place between header and table for the name of a parent, or for zeros. */
const BAT_OFFSET = 2048;
const ABSENT = 0xffffffff;
const ENTRIES_MAX = 1 << 20;

const footerCookie = 'conectix';
const headerCookie = 'cxsparse';
const version = 0x00010000;
const kinds = { fixed: 2, dynamic: 3, differencing: 4 } as const;
type Kind = keyof typeof kinds;

export interface VhdFooter {
  readonly sizeBytes: bigint;
  readonly kind: Kind;
  readonly uuid: string;
  /** Four letters. Those of blktap, the default, tell QEMU not to take the size from cylinders and heads. */
  readonly creator?: string;
}

export interface VhdParent {
  readonly uuid: string;
  readonly name: string;
}

/** Cylinders, heads and sectors, which nobody should take a size from. */
export const vhdGeometry = (
  sizeBytes: bigint,
): readonly [cylinders: number, heads: number, sectors: number] => {
  const total = Math.min(Number(sizeBytes / BigInt(SECTOR_BYTES)), 65_535 * 16 * 255);
  const cylinders = (heads: number, sectors: number): number =>
    Math.floor(Math.floor(total / sectors) / heads);
  if (total > 65_535 * 16 * 63) return [cylinders(16, 255), 16, 255];
  const tracks = Math.floor(total / 17);
  const heads = Math.max(4, Math.floor((tracks + 1_023) / 1_024));
  if (tracks < heads * 1_024 && heads <= 16) return [cylinders(heads, 17), heads, 17];
  const fits = Math.floor(total / 31) < 16 * 1_024;
  return fits ? [cylinders(16, 31), 16, 31] : [cylinders(16, 63), 16, 63];
};

const checksum = (bytes: Buffer, at: number): number => {
  let sum = 0;
  for (const [index, byte] of bytes.entries()) if (index < at || index >= at + 4) sum += byte;
  return ~sum >>> 0;
};

const FOOTER_CHECKSUM = 64;
const HEADER_CHECKSUM = 36;

export const vhdFooter = ({ sizeBytes, kind, uuid, creator = 'tap\0' }: VhdFooter): Buffer => {
  const bytes = Buffer.alloc(FOOTER_BYTES);
  bytes.write(footerCookie, 0, 'latin1');
  bytes.writeUInt32BE(2, 8);
  bytes.writeUInt32BE(version, 12);
  bytes.writeBigUInt64BE(kind === 'fixed' ? 0xffffffffffffffffn : BigInt(FOOTER_BYTES), 16);
  bytes.write(creator, 28, 'latin1');
  bytes.writeUInt32BE(1, 32);
  bytes.writeBigUInt64BE(sizeBytes, 40);
  bytes.writeBigUInt64BE(sizeBytes, 48);
  const [cylinders, heads, sectors] = vhdGeometry(sizeBytes);
  bytes.writeUInt16BE(cylinders, 56);
  bytes.writeUInt8(heads, 58);
  bytes.writeUInt8(sectors, 59);
  bytes.writeUInt32BE(kinds[kind], 60);
  uuidBytes(uuid).copy(bytes, 68);
  bytes.writeUInt32BE(checksum(bytes, FOOTER_CHECKSUM), FOOTER_CHECKSUM);
  return bytes;
};

export const vhdHeader = (entries: number, parent?: VhdParent, batOffset = BAT_OFFSET): Buffer => {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(headerCookie, 0, 'latin1');
  bytes.writeBigUInt64BE(0xffffffffffffffffn, 8);
  bytes.writeBigUInt64BE(BigInt(batOffset), 16);
  bytes.writeUInt32BE(version, 24);
  bytes.writeUInt32BE(entries, 28);
  bytes.writeUInt32BE(BLOCK_BYTES, 32);
  if (parent !== undefined) {
    uuidBytes(parent.uuid).copy(bytes, 40);
    // Two bytes for each letter, of which names of ours have few.
    Buffer.from(parent.name, 'utf16le').swap16().copy(bytes, 64, 0, 512);
    bytes.write('MacX', 576, 'latin1');
    bytes.writeUInt32BE(SECTOR_BYTES, 580);
    bytes.writeBigUInt64BE(BigInt(VHD_HEAD_BYTES), 592);
  }
  bytes.writeUInt32BE(checksum(bytes, HEADER_CHECKSUM), HEADER_CHECKSUM);
  return bytes;
};

const uuidBytes = (uuid: string): Buffer => Buffer.from(uuid.replaceAll('-', ''), 'hex');

/** Where everything of a stream is: `present` are the numbers of blocks, ascending. */
export interface VhdLayout {
  readonly sizeBytes: bigint;
  readonly lengthBytes: bigint;
  /** All before the first block. */
  readonly head: Buffer;
  readonly footer: Buffer;
}

export const blocksIn = (sizeBytes: bigint): number =>
  Number((sizeBytes + BigInt(BLOCK_BYTES) - 1n) / BigInt(BLOCK_BYTES));

const wholeSectors = (bytes: number): number => Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;

/** The size is rounded up to whole blocks. */
export const vhdLayout = (
  diskBytes: bigint,
  present: Iterable<number>,
  { uuid, parent }: { readonly uuid: string; readonly parent?: VhdParent },
): VhdLayout => {
  const entries = blocksIn(diskBytes);
  const sizeBytes = BigInt(entries) * BigInt(BLOCK_BYTES);
  const kind = parent === undefined ? 'dynamic' : 'differencing';
  const footer = vhdFooter({ sizeBytes, kind, uuid });
  const bat = Buffer.alloc(wholeSectors(entries * 4), 0xff);
  const begin = BAT_OFFSET + bat.length;
  let at = begin / SECTOR_BYTES;
  for (const block of present) {
    bat.writeUInt32BE(at, block * 4);
    at += (BITMAP_BYTES + BLOCK_BYTES) / SECTOR_BYTES;
  }
  const gap = Buffer.alloc(BAT_OFFSET - VHD_HEAD_BYTES);
  const head = Buffer.concat([footer, vhdHeader(entries, parent), gap, bat]);
  return { sizeBytes, lengthBytes: BigInt(at) * BigInt(SECTOR_BYTES) + BigInt(FOOTER_BYTES), head, footer };
};

const demand = demandOf('VHD');

export interface VhdHead {
  readonly sizeBytes: bigint;
  /** It has what differs from another disk alone. */
  readonly differs: boolean;
  readonly batOffset: number;
  readonly entries: number;
  readonly footer: Buffer;
}

/** Reads the first `VHD_HEAD_BYTES` of a stream. Throws `ImageRefused`. */
export const readVhdHead = (bytes: Buffer): VhdHead => {
  const footer = bytes.subarray(0, FOOTER_BYTES);
  const sizeBytes = readFooter(footer);
  const kind = footer.readUInt32BE(60);
  demand(kind !== kinds.fixed, 'a fixed one is not taken; send it as raw, or make it dynamic');
  demand(kind === kinds.dynamic || kind === kinds.differencing, `its type is ${kind}`);
  demand(footer.readBigUInt64BE(16) === BigInt(FOOTER_BYTES), 'its header does not follow its footer');
  const header = bytes.subarray(FOOTER_BYTES, VHD_HEAD_BYTES);
  demand(header.toString('latin1', 0, 8) === headerCookie, 'it has no header');
  demand(header.readUInt32BE(HEADER_CHECKSUM) === checksum(header, HEADER_CHECKSUM), 'its header is damaged');
  demand(header.readUInt32BE(32) === BLOCK_BYTES, 'its blocks are not of 2 MiB');
  const batOffset = header.readBigUInt64BE(16);
  const isPlace = batOffset >= BigInt(VHD_HEAD_BYTES) && batOffset % BigInt(SECTOR_BYTES) === 0n;
  demand(isPlace && batOffset <= BigInt(BAT_OFFSET_MAX), 'its table of blocks is out of place');
  const entries = header.readUInt32BE(28);
  demand(entries >= blocksIn(sizeBytes) && entries <= ENTRIES_MAX, 'its table of blocks has no valid size');
  return { sizeBytes, differs: kind === kinds.differencing, batOffset: Number(batOffset), entries, footer };
};

/** Names of parents may be before it. */
const BAT_OFFSET_MAX = 16 * 1024 * 1024;

/** Answers the size of the disk. Throws `ImageRefused`. */
const readFooter = (footer: Buffer): bigint => {
  demand(
    footer.length === FOOTER_BYTES && footer.toString('latin1', 0, 8) === footerCookie,
    'it has no footer',
  );
  demand(footer.readUInt32BE(FOOTER_CHECKSUM) === checksum(footer, FOOTER_CHECKSUM), 'its footer is damaged');
  const sizeBytes = footer.readBigUInt64BE(48);
  demand(footer.readBigUInt64BE(40) <= sizeBytes, 'it says that it was larger once');
  demand(sizeBytes > 0n && sizeBytes <= VHD_BYTES_MAX, 'its size is not within 1 byte and 2040 GiB');
  return sizeBytes;
};

/** The end of a stream, which must be as its beginning. */
export const checkVhdEnd = (bytes: Buffer, { footer }: VhdHead): void =>
  demand(bytes.equals(footer), 'its two footers differ');

export interface VhdBlock {
  readonly block: number;
  /** Of its bitmap, from the beginning of the stream. */
  readonly position: number;
}

export const batBytes = ({ entries }: VhdHead): number => wholeSectors(entries * 4);

/** The blocks that are there, in the order of the stream. Throws `ImageRefused`. */
export const readBat = (bat: Buffer, head: VhdHead): readonly VhdBlock[] => {
  const blocks: VhdBlock[] = [];
  for (let block = 0; block < head.entries; block += 1) {
    const sector = bat.readUInt32BE(block * 4);
    if (sector === ABSENT) continue;
    demand(block < blocksIn(head.sizeBytes), 'it has blocks past its end');
    blocks.push({ block, position: sector * SECTOR_BYTES });
  }
  blocks.sort((one, other) => one.position - other.position);
  let free = head.batOffset + batBytes(head);
  for (const { position } of blocks) {
    demand(position >= free, 'its blocks overlap');
    free = position + BITMAP_BYTES + BLOCK_BYTES;
  }
  return blocks;
};

/** The runs of sectors that a bitmap says are there, in bytes from the beginning of the block. */
export const runsIn = function* (bitmap: Buffer): Generator<readonly [from: number, to: number]> {
  const sectors = BLOCK_BYTES / SECTOR_BYTES;
  const isSet = (sector: number): boolean =>
    sector < sectors && (((bitmap[sector >> 3] ?? 0) >> (7 - (sector & 7))) & 1) === 1;
  for (let from = 0; from < sectors; from += 1) {
    if (!isSet(from)) continue;
    let to = from;
    while (isSet(to)) to += 1;
    yield [from * SECTOR_BYTES, to * SECTOR_BYTES];
    from = to;
  }
};
