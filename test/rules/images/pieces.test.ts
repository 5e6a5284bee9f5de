// Goal: while one piece of a disk is used others are on their way, a bounded number, in order; what fails is told once
//   nothing is under way any more.
// Method: a disk in memory whose reads and writes end when the test says so.

import { expect, test } from 'vitest';
import type { OpenVolume } from '../../../src/drivers/storage/storage.ts';
import { readAhead, writeBehind } from '../../../src/rules/images/pieces.ts';
import { memoryDisk } from './memory-disk.ts';

const PIECE_BYTES = 4;
const places = Array.from({ length: 10 }, (_, index) => BigInt(index * PIECE_BYTES));
const stretches = [
  { position: 0n, lengthBytes: 12n },
  { position: 12n, lengthBytes: 28n },
];

interface Step {
  readonly position: bigint;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
}

/** Each read and write waits for its `end`. */
const slowDisk = (sizeBytes: bigint) => {
  const disk = memoryDisk(sizeBytes, false);
  const steps: Step[] = [];
  const held = (position: bigint): Promise<void> =>
    new Promise((end, fail) => {
      steps.push({ position, end, fail });
    });
  const slow: OpenVolume = {
    ...disk,
    read: (into, position) => held(position).then(() => disk.read(into, position)),
    write: (from, position) => held(position).then(() => disk.write(from, position)),
  };
  return { disk, slow, steps };
};

/** All that is ready has run. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test('pieces are read ahead of their use, no more than four, and come in order', async () => {
  const { disk, slow, steps } = slowDisk(38n);
  await disk.write(Buffer.alloc(38, 7), 0n);
  const pieces = readAhead(slow, stretches, PIECE_BYTES);
  const first = pieces.next();
  await settled();
  expect(steps.map(({ position }) => position)).toEqual([0n, 4n, 8n, 12n]);
  for (const { end } of steps.splice(0).reverse()) end();
  expect((await first).value?.position).toBe(0n);
  const rest: [bigint, number, string][] = [];
  const reading = (async () => {
    for await (const { position, found, bytes } of pieces)
      rest.push([position, found, bytes.toString('hex')]);
  })();
  for (let round = 0; round < places.length; round += 1) {
    await settled();
    for (const { end } of steps.splice(0)) end();
  }
  await reading;
  expect(rest.map(([position]) => position)).toEqual(places.slice(1));
  expect(rest.at(-2)).toEqual([32n, 4, '07070707']);
  expect(rest.at(-1)).toEqual([36n, 2, '07070000']);
});

test('who stops in the middle waits for what is being read', async () => {
  const { slow, steps } = slowDisk(40n);
  const pieces = readAhead(slow, stretches, PIECE_BYTES);
  const first = pieces.next();
  await settled();
  steps.shift()?.end();
  await first;
  let ended = false;
  const stopped = pieces.return(undefined).then(() => {
    ended = true;
  });
  await settled();
  expect(ended).toBe(false);
  for (const { end } of steps) end();
  await stopped;
});

test('pieces are written one after the other, and four of them wait for it at most', async () => {
  const { disk, slow, steps } = slowDisk(40n);
  let filled = 0;
  const writing = writeBehind(async ({ piece, write }) => {
    for (const position of places) {
      const into = await piece(PIECE_BYTES);
      filled += 1;
      into.fill(filled);
      write(() => slow.write(into, position));
    }
  });
  await settled();
  expect([filled, steps.length]).toEqual([4, 1]);
  for (let round = 0; round < places.length; round += 1) {
    await settled();
    for (const { end } of steps.splice(0)) end();
  }
  await writing;
  const all = Buffer.alloc(40);
  await disk.read(all, 0n);
  expect(all).toEqual(Buffer.from(places.flatMap((_, index) => Array(PIECE_BYTES).fill(index + 1))));
});

test('a write that fails fails the whole, and nothing is written behind it', async () => {
  const { slow, steps } = slowDisk(40n);
  let told = 'nothing';
  const writing = writeBehind(async ({ piece, write }) => {
    for (const position of places.slice(0, 3)) {
      const into = await piece(PIECE_BYTES);
      write(() => slow.write(into, position));
    }
  }).catch((error: Error) => {
    told = error.message;
  });
  await settled();
  steps[0]?.end();
  await settled();
  steps[1]?.fail(new Error('no room'));
  await writing;
  expect(told).toBe('no room');
  expect(steps).toHaveLength(2);
});
