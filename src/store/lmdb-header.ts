// What the first pages of an LMDB file say of it. LMDB maps the file into memory and trusts it: one that ends
// before a page that is in use, or whose first pages are not its own, takes the whole process down, so they
// are read before.

/** As much of the file as the two headers need, whatever the size of its pages. */
export const headerBytes = 1 << 17;

const magic = 0xbeefc0de;
const pageBytesMax = 1 << 16;
/** Where things stand in a page that holds a header, format 2 of the file. */
const at = { magic: 24, version: 28, pageBytes: 48, lastPage: 144, transaction: 152, end: 160 } as const;
const knownVersion = 2;

interface Header {
  readonly version: number;
  readonly pageBytes: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

const readHeader = (bytes: Buffer, offset: number): Header | undefined => {
  if (bytes.length < offset + at.end || bytes.readUInt32LE(offset + at.magic) !== magic) return undefined;
  const pageBytes = bytes.readUInt32LE(offset + at.pageBytes);
  if (pageBytes < 512 || pageBytes > pageBytesMax || (pageBytes & (pageBytes - 1)) !== 0) return undefined;
  return {
    version: bytes.readUInt32LE(offset + at.version),
    pageBytes,
    lastPage: bytes.readBigUInt64LE(offset + at.lastPage),
    transaction: bytes.readBigUInt64LE(offset + at.transaction),
  };
};

/** What the headers say of a file that begins with `head`. */
export interface HeaderRead {
  /** Why it is no database, as the end of a sentence about it. */
  readonly fault?: string;
  /**
   * How long the file is when all its pages are there. One that was set aside and not written may be missing
   * at the end of a sound file, so a shorter one has to be read through.
   */
  readonly wholeBytes: bigint;
}

export const headerOf = (head: Uint8Array): HeaderRead => {
  const none = (fault: string): HeaderRead => ({ fault, wholeBytes: 0n });
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
  const first = readHeader(bytes, 0);
  const second = first === undefined ? undefined : readHeader(bytes, first.pageBytes);
  if (first === undefined || second === undefined) return none('its first pages are not those of a database');
  if (first.version !== knownVersion || second.version !== knownVersion)
    return none(`it is of version ${first.version} of the file format, and ${knownVersion} is known here`);
  const newest = first.transaction > second.transaction ? first : second;
  return { wholeBytes: (newest.lastPage + 1n) * BigInt(newest.pageBytes) };
};
