// Goal: the head of an image is read as whoever wrote it might have meant harm: what would lead out of the
//   folder, into other data or past any size is refused, and nothing else is made of it than a size and a name.
// Method: heads made field by field, heads of the real tool, and random bytes laid over good ones.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Qcow2Refused, readQcow2Header } from '../../src/codec/qcow2-header.ts';

interface Head {
  readonly version?: number;
  readonly clusterBits?: number;
  readonly sizeBytes?: bigint;
  readonly encryption?: number;
  readonly incompatible?: bigint;
  readonly headerBytes?: number;
  readonly extensions?: readonly (readonly [type: number, data: string])[];
  readonly backing?: string;
}

const BACKING_FORMAT = 0xe2792aca;

const headOf = (head: Head = {}): Buffer => {
  const bytes = Buffer.alloc(4096);
  bytes.write('QFI\xfb', 'latin1');
  bytes.writeUInt32BE(head.version ?? 3, 4);
  bytes.writeUInt32BE(head.clusterBits ?? 16, 20);
  bytes.writeBigUInt64BE(head.sizeBytes ?? 65536n, 24);
  bytes.writeUInt32BE(head.encryption ?? 0, 32);
  bytes.writeBigUInt64BE(head.incompatible ?? 0n, 72);
  bytes.writeUInt32BE(head.headerBytes ?? 104, 100);
  let at = head.version === 2 ? 72 : 104;
  for (const [type, data] of head.extensions ?? []) {
    bytes.writeUInt32BE(type, at);
    bytes.writeUInt32BE(data.length, at + 4);
    bytes.write(data, at + 8, 'latin1');
    at += 8 + Math.ceil(data.length / 8) * 8;
  }
  if (head.backing !== undefined) {
    bytes.writeBigUInt64BE(2048n, 8);
    bytes.writeUInt32BE(head.backing.length, 16);
    bytes.write(head.backing, 2048, 'latin1');
  }
  return bytes;
};

describe('the head of an image', () => {
  it('tells its size and what it stands on', () => {
    const extensions = [[BACKING_FORMAT, 'qcow2']] as const;
    expect(readQcow2Header(headOf())).toEqual({ sizeBytes: 65536n, backing: undefined });
    expect(readQcow2Header(headOf({ extensions, backing: 'below.qcow2' }))).toEqual({
      sizeBytes: 65536n,
      backing: 'below.qcow2',
    });
    expect(readQcow2Header(headOf({ version: 2 })).sizeBytes).toBe(65536n);
    expect(readQcow2Header(headOf({ incompatible: 1n })).sizeBytes).toBe(65536n);
  });

  it.each<[string, Head]>([
    ['an external data file', { incompatible: 4n }],
    ['the name of a data file', { extensions: [[0x44415441, '/etc/shadow']] }],
    [
      'a data file after other extensions',
      {
        extensions: [
          [1, 'abc'],
          [0x44415441, '/etc/shadow'],
        ],
      },
    ],
    ['a feature that nobody knows', { incompatible: 1n << 40n }],
    ['a feature of the last bit', { incompatible: 1n << 63n }],
    ['encryption', { encryption: 1 }],
    ['encryption by an extension', { extensions: [[0x0537be77, '0123456789abcdef']] }],
    ['a parent that is read as raw', { extensions: [[BACKING_FORMAT, 'raw']], backing: 'x.qcow2' }],
    ['a name that is too long', { backing: 'x'.repeat(1024) }],
    ['an empty name', { backing: '' }],
    ['more bytes than any disk', { sizeBytes: 2n ** 46n + 1n }],
    ['no cluster size', { clusterBits: 64 }],
    ['another version', { version: 4 }],
    ['a header beyond its file', { headerBytes: 8192 }],
    ['a header that is too short', { headerBytes: 72 }],
  ])('that has %s is refused', (_, head) => {
    expect(() => readQcow2Header(headOf(head))).toThrow(Qcow2Refused);
  });

  it('is refused or read, whatever its bytes are, and no name lies outside of them', () => {
    const patch = fc.tuple(fc.nat(2100), fc.uint8Array({ maxLength: 16 }));
    const start = fc.constantFrom(headOf(), headOf({ version: 2 }), headOf({ backing: 'a.qcow2' }));
    fc.assert(
      fc.property(start, fc.array(patch, { maxLength: 8 }), fc.nat(4096), (head, patches, length) => {
        const bytes = Buffer.from(head);
        for (const [at, some] of patches) bytes.set(some, at);
        try {
          const { sizeBytes, backing } = readQcow2Header(bytes.subarray(0, length));
          expect(sizeBytes).toBeLessThanOrEqual(2n ** 46n);
          if (bytes.readUInt32BE(4) === 3) expect(bytes.readBigUInt64BE(72) & ~3n).toBe(0n);
          if (backing !== undefined) expect(Buffer.byteLength(backing)).toBeLessThanOrEqual(3 * 1023);
        } catch (error) {
          expect(error).toBeInstanceOf(Qcow2Refused);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

const tool = (...args: string[]): void => void execFileSync('qemu-img', args, { stdio: 'ignore' });
const hasQemu = (() => {
  try {
    tool('--version');
    return true;
  } catch {
    return false;
  }
})();

it.skipIf(!hasQemu)('heads that qemu-img writes are read, or refused for what they ask', () => {
  const folder = mkdtempSync(join(tmpdir(), 'qcow2-'));
  const at = (name: string): string => join(folder, name);
  try {
    tool('create', '-f', 'qcow2', at('a.qcow2'), '1M');
    tool('create', '-f', 'qcow2', '-F', 'qcow2', '-b', 'a.qcow2', at('b.qcow2'));
    tool('create', '-f', 'qcow2', '-o', `data_file=${at('d')}`, at('c.qcow2'), '1M');
    expect(readQcow2Header(readFileSync(at('a.qcow2')))).toEqual({
      sizeBytes: 1n << 20n,
      backing: undefined,
    });
    expect(readQcow2Header(readFileSync(at('b.qcow2'))).backing).toBe('a.qcow2');
    expect(() => readQcow2Header(readFileSync(at('c.qcow2')))).toThrow(Qcow2Refused);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
