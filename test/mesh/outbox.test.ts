// Goal: what waits for a slow wire stays out of frames, is bounded by who put it in, and goes on when the wire drains.
// Method: an outbox on a wire whose buffer the test fills and empties.
import { expect, test } from 'vitest';
import type { Wire } from '../../src/drivers/mesh-wire.ts';
import { decodeFrame, type Item } from '../../src/mesh/frame.ts';
import { meshLimits } from '../../src/mesh/limits.ts';
import { type Outbox, outboxOf } from '../../src/mesh/outbox.ts';

const limits = { ...meshLimits, bufferedBytesMax: 1_000, itemsMax: 10, frameBytesMax: 5_000 };

const slowWire = (): {
  outbox: Outbox;
  frames: () => number[];
  buffered: (bytes: number) => void;
  lost: Item[];
} => {
  const sent: Uint8Array[] = [];
  const lost: Item[] = [];
  let bufferedBytes = 0;
  const wire = { send: (bytes: Uint8Array) => void sent.push(bytes), bufferedBytes: () => bufferedBytes };
  const outbox = outboxOf({
    wire: wire as unknown as Wire,
    limits,
    head: () => ({ version: 1, epoch: 1 }),
    onFrame: () => {},
    onUnsendable: (item) => lost.push(item),
  });
  return {
    outbox,
    lost,
    frames: () => sent.map((bytes) => decodeFrame(bytes, limits).items.length),
    buffered: (bytes) => {
      bufferedBytes = bytes;
    },
  };
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const pings = (outbox: Outbox, count: number): void => {
  for (let i = 0; i < count; i++) outbox.put(['ping', i]);
};

test('items of one turn share a frame, up to the number that a frame carries', async () => {
  const { outbox, frames } = slowWire();
  pings(outbox, 25);
  await turn();
  pings(outbox, 2);
  await turn();
  expect(frames()).toEqual([10, 10, 5, 2]);
});

test('a full wire is sent nothing until it drains, and then everything', async () => {
  const { outbox, frames, buffered } = slowWire();
  buffered(1_001);
  pings(outbox, 3);
  await turn();
  pings(outbox, 4);
  await turn();
  expect(frames()).toEqual([]);
  buffered(1_000);
  outbox.drained();
  await turn();
  expect(frames()).toEqual([7]);
});

test('what is too large together goes in parts, and what is too large alone is given back', async () => {
  const { outbox, frames, lost } = slowWire();
  let told = 0;
  for (const size of [2_000, 2_000, 2_000, 6_000]) {
    outbox.put(['reply', size, 'x'.repeat(size)], () => {
      told += 1;
    });
  }
  await turn();
  expect(frames()).toEqual([2, 1]);
  expect(told).toBe(3);
  expect(lost.map(([, id]) => id)).toEqual([6_000]);
});

test('a closed outbox forgets what it held and takes no more', async () => {
  const { outbox, frames } = slowWire();
  pings(outbox, 3);
  outbox.close();
  pings(outbox, 3);
  await turn();
  expect(frames()).toEqual([]);
});
