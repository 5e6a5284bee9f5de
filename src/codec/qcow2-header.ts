// What the head of a qcow2 file says. Asking it directly costs no process, and whoever put the file there is
// not trusted: an image that asks for more than the plugin's own images need is refused unopened.

export interface Qcow2Header {
  readonly sizeBytes: bigint;
  /** The backing file's name as the header has it. */
  readonly backing: string | undefined;
}

/** Header, extensions and the backing file's name of an image of ours are within this. */
export const QCOW2_HEAD_BYTES = 64 * 1024;
const MAGIC = 0x514649fb;
const HEADER_BYTES = { 2: 72, 3: 104 } as const;
const CLUSTER_BITS = [9, 21] as const;
export const SIZE_BYTES_MAX = 2n ** 46n;
const BACKING_NAME_BYTES_MAX = 1_023;
const EXTENSIONS_MAX = 64;

/** Was not closed in order, and was found damaged: QEMU repairs the one and only reads the other. */
const FEATURES_KNOWN = 0b11n;
const extension = {
  end: 0,
  backingFormat: 0xe2792aca,
  dataFile: 0x44415441,
  encryption: 0x0537be77,
} as const;

/** A head that is none, or that asks for what no image of ours has. */
export class Qcow2Refused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Qcow2Refused';
  }
}

const demand = (fine: boolean, message: string): void => {
  if (!fine) throw new Qcow2Refused(message);
};

/** Reads the beginning of a file, up to `QCOW2_HEAD_BYTES` of it. Throws `Qcow2Refused`. */
export const readQcow2Header = (bytes: Buffer): Qcow2Header => {
  demand(bytes.length >= HEADER_BYTES[2] && bytes.readUInt32BE(0) === MAGIC, 'it has no qcow2 header');
  const version = bytes.readUInt32BE(4);
  demand(version === 2 || version === 3, `its qcow2 version is ${version}`);
  const clusterBits = bytes.readUInt32BE(20);
  demand(clusterBits >= CLUSTER_BITS[0] && clusterBits <= CLUSTER_BITS[1], 'its clusters have no valid size');
  const sizeBytes = bytes.readBigUInt64BE(24);
  demand(sizeBytes <= SIZE_BYTES_MAX, 'it is larger than any disk');
  demand(bytes.readUInt32BE(32) === 0, 'it is encrypted');
  const headerBytes = version === 2 ? HEADER_BYTES[2] : headerLength(bytes);
  if (version === 3) {
    demand((bytes.readBigUInt64BE(72) & ~FEATURES_KNOWN) === 0n, 'it has features that no disk here has');
  }
  const format = backingFormat(bytes, headerBytes, Math.min(bytes.length, 2 ** clusterBits));
  const backing = backingName(bytes, headerBytes);
  demand(backing === undefined || format === undefined || format === 'qcow2', 'it stands on no qcow2 image');
  return { sizeBytes, backing };
};

const headerLength = (bytes: Buffer): number => {
  demand(bytes.length >= HEADER_BYTES[3], 'its header is cut short');
  const length = bytes.readUInt32BE(100);
  demand(
    length >= HEADER_BYTES[3] && length <= bytes.length && length % 8 === 0,
    'its header has no valid length',
  );
  return length;
};

/** Walks the extensions. One for data outside the image, or for encryption, is refused. */
const backingFormat = (bytes: Buffer, from: number, to: number): string | undefined => {
  let format: string | undefined;
  let at = from;
  for (let count = 0; at + 8 <= to; count += 1) {
    const [type, length] = [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)];
    if (type === extension.end) return format;
    demand(count < EXTENSIONS_MAX && length <= to - at - 8, 'its header extensions are damaged');
    demand(type !== extension.dataFile, 'its data are in another file');
    demand(type !== extension.encryption, 'it is encrypted');
    if (type === extension.backingFormat) format = bytes.toString('latin1', at + 8, at + 8 + length);
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return format;
};

const backingName = (bytes: Buffer, headerBytes: number): string | undefined => {
  const position = bytes.readBigUInt64BE(8);
  if (position === 0n) return undefined;
  const length = bytes.readUInt32BE(16);
  const fits = position >= BigInt(headerBytes) && position + BigInt(length) <= BigInt(bytes.length);
  demand(fits && length > 0 && length <= BACKING_NAME_BYTES_MAX, 'the name of what it stands on is damaged');
  return bytes.toString('utf8', Number(position), Number(position) + length);
};
