/** What the head of a qcow2 file says: asking it directly costs no process. */
export interface Qcow2Header {
  readonly sizeBytes: bigint;
  /** Where the backing file's name stands in the file, if there is one. */
  readonly backing: { readonly position: bigint; readonly length: number } | undefined;
}

export const QCOW2_HEADER_BYTES = 32;
const MAGIC = 0x514649fb;

/** `undefined` when it is not one. */
export const readQcow2Header = (bytes: Buffer): Qcow2Header | undefined => {
  if (bytes.length < QCOW2_HEADER_BYTES || bytes.readUInt32BE(0) !== MAGIC) return undefined;
  const position = bytes.readBigUInt64BE(8);
  return {
    sizeBytes: bytes.readBigUInt64BE(24),
    backing: position === 0n ? undefined : { position, length: bytes.readUInt32BE(16) },
  };
};
