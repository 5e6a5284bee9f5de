import { demandOf } from './image-refused.ts';

// qcow2 as it goes over a wire, so that it can be read from its beginning to its end: header, counts of
// references, tables, then the data. https://www.qemu.org/docs/master/interop/qcow2.html

export const CLUSTER_BYTES = 65_536;
const ENTRIES = CLUSTER_BYTES / 8;
const COUNTS = CLUSTER_BYTES / 2;
const HEADER_BYTES = 112;
const MAGIC = 0x514649fb;
const COPIED = 1n << 63n;
const COMPRESSED = 1n << 62n;
const OFFSET = 0x00fffffffffffe00n;
const ZERO = 1n;

const clustersFor = (bytes: number | bigint): number =>
  Number((BigInt(bytes) + BigInt(CLUSTER_BYTES) - 1n) / BigInt(CLUSTER_BYTES));

/** UsedClusters of a disk that have data, by number. */
export interface UsedClusters {
  readonly count: number;
  has(cluster: number): boolean;
  /** How many of those from one to another have data. */
  within(from: number, to: number): number;
}

export interface Qcow2Layout {
  readonly sizeBytes: bigint;
  readonly lengthBytes: bigint;
  readonly l1Entries: number;
  /** What comes before the data, cluster by cluster. */
  head(): Generator<Buffer>;
  /** Numbers of clusters, for tests: how many are of which kind. */
  readonly parts: {
    readonly countTable: number;
    readonly countBlocks: number;
    readonly l1: number;
    readonly l2: number;
  };
}

/** Version 3, clusters of 64 KiB, every one with one reference, standing on nothing. */
export const qcow2Layout = (diskBytes: bigint, present: UsedClusters): Qcow2Layout => {
  const sizeBytes = ((diskBytes + 511n) / 512n) * 512n;
  const guestClusters = clustersFor(sizeBytes);
  const l1Entries = Math.ceil(guestClusters / ENTRIES);
  const l1 = clustersFor(l1Entries * 8);
  const used: number[] = [];
  for (let table = 0; table < l1Entries; table += 1) {
    if (present.within(table * ENTRIES, (table + 1) * ENTRIES) > 0) used.push(table);
  }
  const others = 1 + l1 + used.length + present.count;
  const { countTable, countBlocks } = countsFor(others);
  const total = others + countTable + countBlocks;
  const l1Cluster = 1 + countTable + countBlocks;
  const l2Cluster = l1Cluster + l1;
  const dataCluster = l2Cluster + used.length;
  const facts = { sizeBytes, l1Entries, l1Cluster, countTable };
  return {
    sizeBytes,
    lengthBytes: BigInt(total) * BigInt(CLUSTER_BYTES),
    l1Entries,
    parts: { countTable, countBlocks, l1, l2: used.length },
    head: function* () {
      yield headerCluster(facts);
      yield* tableOf(countTable, countBlocks, (index) => BigInt((1 + countTable + index) * CLUSTER_BYTES));
      yield* countsOf(total, countBlocks);
      const l2At = new Map(used.map((table, index) => [table, entryOf(l2Cluster + index)]));
      yield* tableOf(l1, l1Entries, (table) => l2At.get(table) ?? 0n);
      yield* tablesOf(used, present, dataCluster);
    },
  };
};

const entryOf = (cluster: number): bigint => COPIED | (BigInt(cluster) * BigInt(CLUSTER_BYTES));

/** UsedClusters that count references count themselves too. */
const countsFor = (others: number): { readonly countTable: number; readonly countBlocks: number } => {
  let [countTable, countBlocks] = [1, 1];
  for (;;) {
    const blocks = Math.ceil((others + countTable + countBlocks) / COUNTS);
    const table = Math.ceil(blocks / ENTRIES);
    if (blocks === countBlocks && table === countTable) return { countTable, countBlocks };
    [countTable, countBlocks] = [table, blocks];
  }
};

const featureNames: readonly (readonly [kind: number, bit: number, name: string])[] = [
  [0, 0, 'dirty bit'],
  [0, 1, 'corrupt bit'],
  [0, 2, 'external data file'],
  [0, 3, 'compression type'],
  [0, 4, 'extended L2 entries'],
  [1, 0, 'lazy refcounts'],
  [2, 0, 'bitmaps'],
  [2, 1, 'raw external data'],
];

const headerCluster = (facts: {
  readonly sizeBytes: bigint;
  readonly l1Entries: number;
  readonly l1Cluster: number;
  readonly countTable: number;
}): Buffer => {
  const bytes = Buffer.alloc(CLUSTER_BYTES);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(facts.sizeBytes, 24);
  bytes.writeUInt32BE(facts.l1Entries, 36);
  bytes.writeBigUInt64BE(BigInt(facts.l1Cluster * CLUSTER_BYTES), 40);
  bytes.writeBigUInt64BE(BigInt(CLUSTER_BYTES), 48);
  bytes.writeUInt32BE(facts.countTable, 56);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(HEADER_BYTES, 100);
  bytes.writeUInt32BE(0x6803f857, HEADER_BYTES);
  bytes.writeUInt32BE(featureNames.length * 48, HEADER_BYTES + 4);
  for (const [index, [kind, bit, name]] of featureNames.entries()) {
    const at = HEADER_BYTES + 8 + index * 48;
    bytes.writeUInt8(kind, at);
    bytes.writeUInt8(bit, at + 1);
    bytes.write(name, at + 2, 'latin1');
  }
  return bytes;
};

/** A table of 64-bit entries over whole clusters. */
const tableOf = function* (
  clusters: number,
  entries: number,
  entry: (index: number) => bigint,
): Generator<Buffer> {
  for (let cluster = 0; cluster < clusters; cluster += 1) {
    const bytes = Buffer.alloc(CLUSTER_BYTES);
    const to = Math.min(entries, (cluster + 1) * ENTRIES);
    for (let index = cluster * ENTRIES; index < to; index += 1) {
      bytes.writeBigUInt64BE(entry(index), (index % ENTRIES) * 8);
    }
    yield bytes;
  }
};

const countsOf = function* (total: number, blocks: number): Generator<Buffer> {
  for (let block = 0; block < blocks; block += 1) {
    const bytes = Buffer.alloc(CLUSTER_BYTES);
    const count = Math.min(COUNTS, total - block * COUNTS);
    for (let index = 0; index < count; index += 1) bytes.writeUInt16BE(1, index * 2);
    yield bytes;
  }
};

const tablesOf = function* (
  used: readonly number[],
  present: UsedClusters,
  first: number,
): Generator<Buffer> {
  let next = first;
  for (const table of used) {
    const bytes = Buffer.alloc(CLUSTER_BYTES);
    for (let index = 0; index < ENTRIES; index += 1) {
      if (!present.has(table * ENTRIES + index)) continue;
      bytes.writeBigUInt64BE(entryOf(next), index * 8);
      next += 1;
    }
    yield bytes;
  }
};

const demand = demandOf('qcow2');

/** What of a header is needed to read on, beside what `readQcow2Header` has looked at. */
export interface Qcow2Tables {
  readonly clusterBytes: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
}

const L1_ENTRIES_MAX = 1 << 22;

/** Reads a header that `readQcow2Header` took. Throws `ImageRefused`. */
export const readQcow2Tables = (header: Buffer, sizeBytes: bigint): Qcow2Tables => {
  const clusterBytes = 2 ** header.readUInt32BE(20);
  const l1Entries = header.readUInt32BE(36);
  const l1Offset = header.readBigUInt64BE(40);
  const perTable = (BigInt(clusterBytes) * BigInt(clusterBytes)) / 8n;
  const needed = (sizeBytes + perTable - 1n) / perTable;
  demand(BigInt(l1Entries) >= needed && l1Entries <= L1_ENTRIES_MAX, 'its first table has no valid size');
  const isPlace = l1Offset >= BigInt(clusterBytes) && l1Offset % BigInt(clusterBytes) === 0n;
  demand(isPlace && l1Offset <= BigInt(Number.MAX_SAFE_INTEGER), 'its first table is out of place');
  return { clusterBytes, l1Entries, l1Offset: Number(l1Offset) };
};

export interface Qcow2Table {
  readonly table: number;
  readonly position: number;
}

/** The tables of the second level, in the order of the stream. Throws `ImageRefused`. */
export const readL1 = (
  bytes: Buffer,
  { clusterBytes, l1Offset, l1Entries }: Qcow2Tables,
): readonly Qcow2Table[] => {
  const tables: Qcow2Table[] = [];
  for (let table = 0; table < l1Entries; table += 1) {
    const position = placeIn(bytes.readBigUInt64BE(table * 8) & OFFSET, clusterBytes);
    if (position > 0) tables.push({ table, position });
  }
  tables.sort((one, other) => one.position - other.position);
  let free = l1Offset + Math.ceil((l1Entries * 8) / clusterBytes) * clusterBytes;
  for (const { position } of tables) {
    demand(position >= free, 'its tables are not in the order in which they can be read');
    free = position + clusterBytes;
  }
  return tables;
};

const placeIn = (offset: bigint, clusterBytes: number): number => {
  const isPlace = offset % BigInt(clusterBytes) === 0n && offset <= BigInt(Number.MAX_SAFE_INTEGER);
  demand(isPlace, 'its tables lead to no cluster');
  return Number(offset);
};

/** The entries of a table of an image in use that are not empty, and where they lead. */
export const tablePlaces = function* (bytes: Buffer): Generator<readonly [index: number, place: number]> {
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const entry = bytes.readBigUInt64BE(at);
    if (entry !== 0n) yield [at / 8, Number(entry & OFFSET)];
  }
};

/**
 * Calls `use` for each cluster that a table of the second level knows of: 0 as its place says that it is
 * zeros. Throws `ImageRefused`.
 */
export const readL2 = (
  bytes: Buffer,
  clusterBytes: number,
  use: (index: number, position: number) => void,
): void => {
  for (let index = 0; index < clusterBytes / 8; index += 1) {
    const entry = bytes.readBigUInt64BE(index * 8);
    if (entry === 0n) continue;
    demand((entry & COMPRESSED) === 0n, 'it is compressed; convert it without');
    const position = placeIn(entry & OFFSET, clusterBytes);
    if ((entry & ZERO) !== 0n) use(index, 0);
    else if (position > 0) use(index, position);
  }
};
