// Goal: what comes out of a memory stream is what went in, however it was cut into pieces on the way, and a
//   stream that ends early or says nonsense is never taken for a whole one.
// Method: random pieces through random chunks, and every place at which the bytes can end.
import { Duplex, PassThrough } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  answerFailed,
  answerLoaded,
  answerOn,
  memoryPieces,
  memoryWriter,
} from '../../../src/daemons/xenopsd/migration/memory-stream.ts';
import { memoryPath, peerAt, readMemoryPath } from '../../../src/daemons/xenopsd/migration/peer.ts';
import { XenopsError } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { nodeNetwork } from '../../../src/drivers/node/network.ts';

const written = async (pieces: readonly Uint8Array[]): Promise<Buffer> => {
  const stream = new PassThrough({ highWaterMark: 1 << 26 });
  const writer = memoryWriter(stream, nodeClock);
  for (const piece of pieces) await writer.write(piece);
  await writer.end();
  return stream.read() as Buffer;
};
const read = async (chunks: readonly Uint8Array[], ends = true): Promise<Buffer> => {
  const stream = new PassThrough({ highWaterMark: 1 << 26 });
  for (const chunk of chunks) stream.write(chunk);
  if (ends) stream.end();
  const parts: Buffer[] = [];
  for await (const piece of memoryPieces(stream, nodeClock)) parts.push(piece);
  expect(stream.destroyed).toBe(false);
  return Buffer.concat(parts);
};
const inChunks = (bytes: Buffer, sizes: readonly number[]): Buffer[] => {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = sizes[chunks.length % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
};

test('the bytes are the same, and the stream stays open behind its end mark', async () => {
  const piece = fc.uint8Array({ minLength: 0, maxLength: 300 });
  const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(fc.array(piece), sizes, async (pieces, chunks) => {
      const got = await read(inChunks(await written(pieces), chunks), false);
      expect(got.equals(Buffer.concat(pieces))).toBe(true);
    }),
  );
});

test('a piece larger than any that may be sent goes in several', async () => {
  const large = Buffer.alloc(17 * 1024 * 1024, 7);
  expect((await read([await written([large])])).equals(large)).toBe(true);
});

test('bytes that end before the end mark, anywhere, are refused', async () => {
  const bytes = await written([Buffer.from('abc'), Buffer.from('de')]);
  for (let length = 0; length < bytes.length; length += 1) {
    await expect(read([bytes.subarray(0, length)])).rejects.toMatchObject({
      tag: 'Failed_to_contact_remote_service',
    });
  }
});

test('a length that no source sends is refused at once', async () => {
  await expect(read([Buffer.from('ffffffff', 'hex')], false)).rejects.toThrow('none that a source sends');
});

const pair = (): readonly [Duplex, Duplex] => {
  const there = new PassThrough();
  const back = new PassThrough();
  return [Duplex.from({ readable: back, writable: there }), Duplex.from({ readable: there, writable: back })];
};

test('the answer is that it was loaded, or the very error, or that the way was cut', async () => {
  const [source, destination] = pair();
  const loaded = answerOn(source);
  answerLoaded(destination);
  await loaded;

  const [source2, destination2] = pair();
  const failed = expect(answerOn(source2)).rejects.toMatchObject({ tag: 'Invalid_vcpus', args: [3n] });
  answerFailed(destination2, nodeClock, new XenopsError('Invalid_vcpus', [3n]));
  await failed;
  destination2.destroy();

  for (const nonsense of ['{"a"\n', '["Failed",3]\n', 'x'.repeat(70_000)]) {
    const [source3, destination3] = pair();
    const refused = expect(answerOn(source3)).rejects.toThrow();
    destination3.write(nonsense);
    await refused;
  }

  const [source4, destination4] = pair();
  const cut = expect(answerOn(source4)).rejects.toThrow('cut');
  destination4.end();
  await cut;
});

test('the path of a stream names VM and token, whatever is in them and before it', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (name) => {
      const path = `/by/some/way/${memoryPath(name, `${name}.x`)}`;
      expect(readMemoryPath(path)).toEqual({ vm: name, token: `${name}.x` });
    }),
  );
  for (const path of ['/', '/memory/a', '/memory//t', '/memory/%zz/t', '/memory/a/b/c']) {
    expect(readMemoryPath(path)).toBeUndefined();
  }
});

test('a destination that is no socket of this machine is refused with what one looks like', () => {
  expect(() => peerAt(nodeNetwork, 'https://host/')).toThrow('http+unix://');
});
