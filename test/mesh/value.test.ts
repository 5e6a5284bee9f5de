// Goal: what a host that joins hands over is read as carefully as a frame, for it comes from a stranger.
// Method: rows go there and back; bytes that lie about themselves are refused before anything is built of them.
import { expect, test } from 'vitest';
import { FrameFailure } from '../../src/mesh/failure.ts';
import { decodeValue, encodeValue } from '../../src/mesh/value.ts';

test('rows arrive as they were', () => {
  const rows = [
    {
      class: 'VM',
      ref: 'OpaqueRef:1',
      record: { memory: 2n ** 40n, tags: ['a'], other: new Map([['k', 'v']]) },
    },
    { class: 'VM', ref: 'OpaqueRef:2', record: { memory: -1n, tags: [], other: new Map(), when: undefined } },
  ];
  expect(decodeValue(encodeValue({ host: 'h', rows, force: false }))).toEqual({
    host: 'h',
    rows,
    force: false,
  });
});

test.each([
  ['nothing', []],
  ['a list that says it is longer than any memory', [0xdd, 0xff, 0xff, 0xff, 0xff]],
  ['bytes that say they are longer than what came', [0xc6, 0x7f, 0xff, 0xff, 0xff, 1]],
  ['lists within lists without end', new Array(10_000).fill(0x91)],
  ['a type of another program', [0xd4, 0x01, 0x00]],
  ['a value that others follow', [0x01, 0x02]],
  [
    'a key that means something to JavaScript',
    [0xd4, 0x72, 0x40, 0x91, 0xa9, ...Buffer.from('__proto__'), 0x01],
  ],
])('%s is refused', (_, bytes) => {
  expect(() => decodeValue(Uint8Array.from(bytes))).toThrow(FrameFailure);
});

test('what the other side would refuse is not sent', () => {
  expect(() => encodeValue({ odd: new (class Odd {})() })).toThrow(FrameFailure);
});
