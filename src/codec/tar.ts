import { own } from '../std/own.ts';
import { ImageRefused } from './image-refused.ts';

// Heads of tar archives. Written in the oldest form, which every reader takes; read in every form of today.

export const TAR_BLOCK_BYTES = 512;
/** What ends an archive. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * TAR_BLOCK_BYTES);
/** The zeros that follow so many bytes of a file. */
export const tarPadding = (sizeBytes: number): number =>
  (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;

const zeros = Buffer.alloc(TAR_BLOCK_BYTES);
/** Those zeros. */
export const tarFilling = (sizeBytes: number): Buffer => zeros.subarray(0, tarPadding(sizeBytes));

const NAME_BYTES_MAX = 99;
/** What eleven octal digits can say. */
const SIZE_MAX = 8 ** 11 - 1;
const CHECKSUM = { at: 148, lengthBytes: 8 } as const;

const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;

/** `modified` counts seconds since 1970. */
export const tarHead = (name: string, sizeBytes: number, modified = 0): Buffer => {
  if (Buffer.byteLength(name) > NAME_BYTES_MAX || sizeBytes > SIZE_MAX)
    throw new RangeError(`${name} of ${sizeBytes} bytes does not fit into the head of an archive`);
  const head = Buffer.alloc(TAR_BLOCK_BYTES);
  head.write(name, 0);
  head.write(`${octal(0o400, 7)}${octal(0, 7)}${octal(0, 7)}`, 100, 'latin1');
  head.write(`${octal(sizeBytes, 11)}${octal(modified, 11)}`, 124, 'latin1');
  head.write(octal(sumsOf(head).unsigned, 7), CHECKSUM.at, 'latin1');
  return head;
};

/** The sum of all bytes, those of the checksum taken as blanks; some writers took bytes as signed. */
const sumsOf = (head: Buffer): { readonly unsigned: number; readonly signed: number } => {
  let [unsigned, signed] = [0, 0];
  for (let at = 0; at < TAR_BLOCK_BYTES; at += 1) {
    const isSum = at >= CHECKSUM.at && at < CHECKSUM.at + CHECKSUM.lengthBytes;
    unsigned += isSum ? 0x20 : head.readUInt8(at);
    signed += isSum ? 0x20 : head.readInt8(at);
  }
  return { unsigned, signed };
};

/** `more` is about the next file: `pax` has its attributes, `name` its name. */
export interface TarHead {
  readonly kind: 'file' | 'pax' | 'name' | 'other';
  readonly name: string;
  readonly sizeBytes: number;
}

const kinds: Readonly<Record<string, TarHead['kind']>> = {
  ...{ '\0': 'file', '0': 'file', '7': 'file' },
  ...{ x: 'pax', L: 'name' },
};

/** Undefined where the archive ends. Throws `ImageRefused` where this is no head. */
export const readTarHead = (head: Buffer): TarHead | undefined => {
  if (head.every((byte) => byte === 0)) return undefined;
  const { unsigned, signed } = sumsOf(head);
  const said = numberIn(head, CHECKSUM.at, CHECKSUM.lengthBytes);
  if (said !== unsigned && said !== signed) throw noTar('the checksum of an entry is wrong');
  const prefix = head.toString('latin1', 257, 262) === 'ustar' ? textIn(head, 345, 155) : '';
  const name = textIn(head, 0, 100);
  return {
    kind: own(kinds, head.toString('latin1', 156, 157)) ?? 'other',
    name: prefix === '' ? name : `${prefix}/${name}`,
    sizeBytes: numberIn(head, 124, 12),
  };
};

const noTar = (why: string): ImageRefused => new ImageRefused(`The archive cannot be read: ${why}`);

const textIn = (head: Buffer, from: number, lengthBytes: number): string => {
  const field = head.subarray(from, from + lengthBytes);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? lengthBytes : end);
};

/** Octal digits among blanks, or, where the first bit is set, the bytes of the number. */
const numberIn = (head: Buffer, from: number, lengthBytes: number): number => {
  const field = head.subarray(from, from + lengthBytes);
  if (head.readUInt8(from) === 0x80) return fitting(BigInt(`0x${field.toString('hex', 1)}`));
  const text = field.toString('latin1').replace(/^[ ]+|[ \0]+$/g, '');
  if (!/^[0-7]*$/.test(text)) throw noTar('a number in an entry is none');
  return text === '' ? 0 : fitting(BigInt(`0o${text}`));
};

const fitting = (size: bigint): number => {
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw noTar('an entry is too large');
  return Number(size);
};

/** What the attributes of a file say of its name and size: `20 path=of the file\n` and so on. */
export const readPax = (bytes: Buffer): { readonly path?: string; readonly size?: number } => {
  const said = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const [, digits = ''] = /^(\d{1,9}) /.exec(bytes.toString('latin1', at, at + 10)) ?? [];
    const end = at + Number(digits);
    if (digits === '' || end <= at || end > bytes.length) throw noTar('the attributes of an entry are none');
    const record = bytes.toString('utf8', at + digits.length + 1, end - 1);
    const equals = record.indexOf('=');
    said.set(record.slice(0, Math.max(0, equals)), record.slice(equals + 1));
    at = end;
  }
  const [path, size] = [said.get('path'), said.get('size')];
  if (size !== undefined && !/^\d{1,18}$/.test(size)) throw noTar('the size of an entry is none');
  return { ...(path !== undefined && { path }), ...(size !== undefined && { size: fitting(BigInt(size)) }) };
};
