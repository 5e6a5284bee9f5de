import { crc32, inflateSync } from 'node:zlib';
import { expect } from 'vitest';

/** The size and the points of a PNG whose chunks all have their sums. */
export const readPng = (png: Buffer) => {
  expect(png.subarray(1, 4).toString()).toBe('PNG');
  const chunks: [string, Buffer][] = [];
  for (let at = 8; at < png.length; ) {
    const size = png.readUInt32BE(at);
    const body = png.subarray(at + 4, at + 8 + size);
    expect(png.readUInt32BE(at + 8 + size)).toBe(crc32(body));
    chunks.push([body.toString('latin1', 0, 4), body.subarray(4)]);
    at += 12 + size;
  }
  expect([chunks[0]?.[0], chunks.at(-1)?.[0]]).toEqual(['IHDR', 'IEND']);
  const head = chunks[0]?.[1] as Buffer;
  const data = chunks.flatMap(([type, bytes]) => (type === 'IDAT' ? [bytes] : []));
  return {
    width: head.readUInt32BE(0),
    height: head.readUInt32BE(4),
    rows: inflateSync(Buffer.concat(data)),
  };
};
