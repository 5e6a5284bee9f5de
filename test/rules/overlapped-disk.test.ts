// Goal: whoever goes through a disk gets and leaves the same bytes as without anything read or written ahead.
// Method: any order of reads and writes on a disk in memory and on a model of it; writes that fail.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { OpenDisk } from '../../src/objects/disk.ts';
import { overlappedDisk } from '../../src/rules/overlapped-disk.ts';

const SIZE = 64;

/** Answers only after others had their turn, and fails where `fails` says so. */
const memoryDisk = (fails: (write: number) => boolean = () => false) => {
  const bytes = Buffer.alloc(SIZE);
  let writes = 0;
  let closed = false;
  const turn = async (): Promise<void> => {
    expect(closed).toBe(false);
    for (let step = 0; step < 3; step += 1) await Promise.resolve();
    expect(closed).toBe(false);
  };
  const disk: OpenDisk = {
    sizeBytes: BigInt(SIZE),
    read: async (into, position) => {
      await turn();
      const found = bytes.subarray(Number(position), Number(position) + into.length);
      into.set(found);
      return found.length;
    },
    write: async (from, position) => {
      writes += 1;
      const failing = fails(writes);
      await turn();
      if (failing) throw new Error(`write ${writes} failed`);
      bytes.set(from, Number(position));
    },
    flush: turn,
    close: async () => {
      closed = true;
      return 0n;
    },
  };
  return { bytes, disk };
};

const step = fc.record({
  isWrite: fc.boolean(),
  follows: fc.boolean(),
  position: fc.nat(SIZE - 1),
  length: fc.integer({ min: 1, max: 16 }),
  value: fc.integer({ min: 1, max: 255 }),
});

test('reads and writes in any order find and leave what they would without', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { bytes, disk } = memoryDisk();
      const overlapped = overlappedDisk(disk);
      const model = Buffer.alloc(SIZE);
      const piece = Buffer.alloc(16);
      let next = 0;
      for (const { isWrite, follows, position, length, value } of steps) {
        const from = follows && next < SIZE ? next : position;
        const part = piece.subarray(0, Math.min(length, SIZE - from));
        next = from + part.length;
        if (isWrite) {
          part.fill(value);
          model.set(part, from);
          await overlapped.write(part, BigInt(from));
          // Whoever wrote may use his buffer again.
          part.fill(0);
        } else {
          expect(await overlapped.read(part, BigInt(from))).toBe(part.length);
          expect(part).toEqual(model.subarray(from, next));
        }
      }
      await overlapped.flush();
      await overlapped.close();
      expect(bytes).toEqual(model);
    }),
  );
});

test('a write that fails after it was answered fails the next one, or the flush', async () => {
  const first = overlappedDisk(memoryDisk((write) => write === 1).disk);
  await first.write(Buffer.alloc(4), 0n);
  await expect(first.write(Buffer.alloc(4), 4n)).rejects.toThrow('write 1 failed');
  await expect(first.flush()).rejects.toThrow('write 1 failed');
  const last = overlappedDisk(memoryDisk((write) => write === 2).disk);
  await last.write(Buffer.alloc(4), 0n);
  await last.write(Buffer.alloc(4), 4n);
  await expect(last.flush()).rejects.toThrow('write 2 failed');
  expect(await last.close()).toBe(0n);
});

test('a disk that ends where the last piece was read is not read behind its end', async () => {
  const overlapped = overlappedDisk(memoryDisk().disk);
  const piece = Buffer.alloc(48);
  expect(await overlapped.read(piece, 0n)).toBe(48);
  expect(await overlapped.read(piece, 48n)).toBe(16);
  expect(await overlapped.read(piece, BigInt(SIZE))).toBe(0);
  await overlapped.close();
});
