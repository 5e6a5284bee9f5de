import { ImageRefused } from '../../codec/image-refused.ts';
import { QCOW2_HEAD_BYTES, Qcow2Refused, readQcow2Header } from '../../codec/qcow2-header.ts';
import {
  CLUSTER_BYTES,
  type Qcow2Tables,
  qcow2Layout,
  readL1,
  readL2,
  readQcow2Tables,
} from '../../codec/qcow2-stream.ts';
import type { Stretch } from './filled.ts';
import { DiskTooSmall, halves, type Taken, type TransferFormat, writeWithin } from './image.ts';
import type { ImageBytes } from './image-bytes.ts';
import { readAhead, writeBehind } from './pieces.ts';
import { noneOf, type Present, presentOf } from './present.ts';

/** Clusters of one image, each of which takes 8 bytes of memory: 2 TiB of data where they are of 64 KiB. */
const CLUSTERS_MAX = 1 << 25;
/** Data of this many bytes go together. */
const TOGETHER_BYTES = 16 * CLUSTER_BYTES;

/**
 * Changes are given in stretches as long as VHD's blocks are: who keeps backups in such blocks, as Xen
 * Orchestra does, has nobody to ask for the rest of one.
 */
const CHANGE_CLUSTERS = 32;

/** qcow2 without anything below it: one that has changes alone says so nowhere. */
export const qcow2: TransferFormat = {
  type: 'application/x-qemu-disk',
  differs: true,
  give: async ({ disk, base, progress, signal, begin }) => {
    const { looked, sent } = halves(disk.sizeBytes, progress);
    const compared = base && { base };
    const unitBytes = base === undefined ? CLUSTER_BYTES : CHANGE_CLUSTERS * CLUSTER_BYTES;
    const found = await presentOf({ disk, ...compared, unitBytes, tell: looked, signal });
    const present = base === undefined ? found : clustersOf(found, disk.sizeBytes);
    const layout = qcow2Layout(disk.sizeBytes, present);
    const write = begin(layout.lengthBytes);
    for (const cluster of layout.head()) await write(cluster);
    for await (const { position, bytes } of readAhead(disk, runsOf(present.all()), TOGETHER_BYTES)) {
      signal.throwIfAborted();
      await write(bytes);
      sent(position);
    }
  },
  take: async (taken) => {
    const { disk, bytes } = taken;
    const { sizeBytes, ...tables } = await readHeader(bytes);
    if (sizeBytes > roundedUp(disk.sizeBytes)) throw new DiskTooSmall(sizeBytes);
    const { data, zeros } = await readTables(bytes, tables, sizeBytes);
    await writeZeros(taken, zeros, tables.clusterBytes);
    await takeData(taken, data, tables.clusterBytes);
  },
};

/** All clusters of changes, of which the last may go beyond the end of the disk. */
const clustersOf = (changes: Present, sizeBytes: bigint): Present => {
  const clusters = Number((sizeBytes + BigInt(CLUSTER_BYTES) - 1n) / BigInt(CLUSTER_BYTES));
  const present = noneOf(clusters);
  for (const change of changes.all()) {
    const end = Math.min(clusters, (change + 1) * CHANGE_CLUSTERS);
    for (let cluster = change * CHANGE_CLUSTERS; cluster < end; cluster += 1) present.add(cluster);
  }
  return present;
};

const roundedUp = (sizeBytes: bigint): bigint => ((sizeBytes + 511n) / 512n) * 512n;

const runsOf = function* (clusters: Iterable<number>): Generator<Stretch> {
  let [first, count] = [0, 0];
  const run = (): Stretch => ({
    position: BigInt(first) * BigInt(CLUSTER_BYTES),
    lengthBytes: BigInt(count) * BigInt(CLUSTER_BYTES),
  });
  for (const cluster of clusters) {
    if (count > 0 && cluster !== first + count) {
      yield run();
      count = 0;
    }
    if (count === 0) first = cluster;
    count += 1;
  }
  if (count > 0) yield run();
};

/** As much of a header as tells how much of it there is. */
const FIRST_BYTES = 512;

const readHeader = async (bytes: ImageBytes): Promise<Qcow2Tables & { readonly sizeBytes: bigint }> => {
  const start = await bytes.exactly(FIRST_BYTES);
  const all = Math.min(QCOW2_HEAD_BYTES, 2 ** Math.min(start.readUInt32BE(20), 21));
  const first = Buffer.concat([start, await bytes.exactly(Math.max(0, all - FIRST_BYTES))]);
  try {
    const { sizeBytes, backing } = readQcow2Header(first);
    if (backing !== undefined) {
      throw refused('it stands on another; send one that has everything, or the changes alone');
    }
    return { sizeBytes, ...readQcow2Tables(first, sizeBytes) };
  } catch (error) {
    if (!(error instanceof Qcow2Refused)) throw error;
    throw refused(error.message);
  }
};

/** Numbers that are added and then gone through in ascending order, 8 bytes each. */
const numbers = () => {
  let all = new BigUint64Array(1024);
  let count = 0;
  return {
    count: () => count,
    add: (value: bigint): void => {
      if (count === all.length) {
        const larger = new BigUint64Array(all.length * 2);
        larger.set(all);
        all = larger;
      }
      all[count] = value;
      count += 1;
    },
    ascending: (): BigUint64Array => all.subarray(0, count).sort(),
  };
};

interface Found {
  /** Where a cluster is in the stream, and below that where on the disk, in 32 bits each. */
  readonly data: BigUint64Array;
  /** Clusters of the disk that are zeros. */
  readonly zeros: BigUint64Array;
}

const readTables = async (bytes: ImageBytes, tables: Qcow2Tables, sizeBytes: bigint): Promise<Found> => {
  const { clusterBytes, l1Entries, l1Offset } = tables;
  await bytes.skipTo(l1Offset);
  const l2 = readL1(await bytes.exactly(l1Entries * 8), tables);
  const perTable = clusterBytes / 8;
  const [data, zeros] = [numbers(), numbers()];
  const found = (table: number) => (index: number, position: number) => {
    const cluster = BigInt(table * perTable + index);
    const from = BigInt(position / clusterBytes);
    if (cluster * BigInt(clusterBytes) >= sizeBytes) throw refused('it has data past its end');
    if (cluster >> 32n !== 0n || from >> 32n !== 0n || data.count() + zeros.count() >= CLUSTERS_MAX) {
      throw refused('it has too many clusters; make them larger, or send it as raw');
    }
    if (position === 0) zeros.add(cluster);
    else data.add((from << 32n) | cluster);
  };
  for (const { table, position } of l2) {
    await bytes.skipTo(position);
    readL2(await bytes.exactly(clusterBytes), clusterBytes, found(table));
  }
  return { data: data.ascending(), zeros: zeros.ascending() };
};

const refused = (why: string): ImageRefused => new ImageRefused(`The qcow2 image cannot be taken: ${why}`);

const writeZeros = async (
  { disk, signal }: Taken,
  zeros: BigUint64Array,
  clusterBytes: number,
): Promise<void> => {
  const nothing = Buffer.alloc(clusterBytes);
  for (const cluster of zeros) {
    signal.throwIfAborted();
    await writeWithin(disk, nothing, cluster * BigInt(clusterBytes));
  }
};

/** Clusters that follow each other both in the stream and on the disk are written together. */
const takeData = async (
  { disk, bytes, progress, signal }: Taken,
  data: BigUint64Array,
  clusterBytes: number,
): Promise<void> => {
  const togetherMax = Math.max(1, TOGETHER_BYTES / clusterBytes);
  await writeBehind(async ({ piece, write }) => {
    for (let index = 0; index < data.length; ) {
      const first = data[index] ?? 0n;
      let count = 1;
      while (count < togetherMax && data[index + count] === first + BigInt(count) * BOTH) count += 1;
      const part = await piece(count * clusterBytes);
      signal.throwIfAborted();
      await bytes.skipTo(Number(first >> 32n) * clusterBytes);
      await bytes.fillAll(part);
      write(() => writeWithin(disk, part, (first & 0xffffffffn) * BigInt(clusterBytes)));
      index += count;
      progress(index / data.length);
    }
  });
};

/** The next cluster in the stream is the next one on the disk. */
const BOTH = (1n << 32n) | 1n;
