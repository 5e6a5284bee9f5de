// Goal: of two streams that are joined, each gets all that the other wrote before it closed, and both end.
// Method: streams whose other ends the test holds; one takes bytes only when it is told to.
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { joined } from '../../src/pool/joined.ts';

/** A stream: what is written to it is kept, and taken piece by piece when `takes` is called. */
const held = () => {
  const taken: string[] = [];
  const waiting: (() => void)[] = [];
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => {},
    write: (chunk, _, done) => {
      waiting.push(() => {
        taken.push(String(chunk));
        done();
      });
    },
  });
  return { stream, taken, takes: () => waiting.shift()?.() };
};

test('A side that closes right after its last word is heard to the end by one that is slow', async () => {
  const [near, far] = [held(), held()];
  const over = joined(near.stream, far.stream);
  for (const word of ['one', 'two', 'three']) near.stream.push(word);
  near.stream.push(null);
  near.stream.end();
  await once(near.stream, 'close');
  expect(far.taken).toEqual([]);
  const heard = once(far.stream, 'finish');
  while (!far.stream.writableFinished && !far.stream.destroyed) {
    far.takes();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await heard;
  expect(far.taken.join()).toBe('one,two,three');
  far.stream.push(null);
  await over;
  expect(far.stream.destroyed).toBe(true);
});

test('A side that breaks off breaks off the other', async () => {
  const [near, far] = [held(), held()];
  const over = joined(near.stream, far.stream);
  near.stream.destroy(new Error('cut'));
  await over;
  expect(far.stream.destroyed).toBe(true);
});
