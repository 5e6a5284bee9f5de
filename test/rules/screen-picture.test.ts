// Goal: the screen of a guest becomes a PNG with every point of it, and an emulator that says anything else gets a clear refusal.
// Method: servers of RFB that tests write, one as others are and some that lie; pictures are read back by an own reader.
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { screenPicture } from '../../src/rules/screen-picture.ts';
import { readPng } from '../codec/png-reader.ts';
import { manualClock } from '../manual-clock.ts';

const never = new AbortController().signal;

/** A duplex whose other end is a function of all bytes that were sent so far, and answers what comes next. */
const serverOf = (answer: (sent: Buffer) => Buffer | undefined): Duplex => {
  let sent = Buffer.alloc(0);
  const stream: Duplex = new Duplex({
    read: () => {},
    write: (bytes: Buffer, _, done) => {
      sent = Buffer.concat([sent, bytes]);
      const next = answer(sent);
      if (next !== undefined) stream.push(next);
      done();
    },
  });
  stream.push(Buffer.from('RFB 003.008\n'));
  return stream;
};

const u16 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(2 * values.length);
  for (const [at, value] of values.entries()) bytes.writeUInt16BE(value, 2 * at);
  return bytes;
};

const pointAt = (x: number, y: number): readonly number[] => [x & 255, y & 255, (x * y) & 255];
/** Points of an area as an update has them. */
const area = (x: number, y: number, width: number, height: number): Buffer => {
  const points = Buffer.alloc(4 * width * height);
  for (let at = 0; at < width * height; at += 1)
    points.set(pointAt(x + (at % width), y + Math.floor(at / width)), 4 * at);
  return Buffer.concat([u16(x, y, width, height), Buffer.alloc(4), points]);
};

/** A screen of this size, whose updates come in two areas after a bell and a text, and say more than was asked for. */
const screen = (width: number, height: number, more = Buffer.alloc(0)): Duplex => {
  let heard = 0;
  let step = 0;
  return serverOf((sent) => {
    const next = sent.subarray(heard);
    if (step === 0) {
      expect(next.toString()).toBe('RFB 003.003\n');
      [step, heard] = [1, 12];
      return Buffer.from([0, 0, 0, 1]);
    }
    if (step === 1) {
      [step, heard] = [2, 13];
      return Buffer.concat([
        u16(width, height),
        Buffer.alloc(16),
        Buffer.from([0, 0, 0, 2]),
        Buffer.from('me'),
      ]);
    }
    if (step === 2) {
      [step, heard] = [3, 13 + 28];
      return undefined;
    }
    heard = sent.length;
    const [y, rows] = [next.readUInt16BE(4), next.readUInt16BE(8)];
    const noise = Buffer.concat([Buffer.from([2]), Buffer.from([3, 0, 0, 0, 0, 0, 0, 2]), Buffer.from('hi')]);
    const half = Math.floor(width / 2);
    const areas = [area(0, 0, 1, 1), area(0, y, half, rows), area(half, y, width - half, rows)];
    return Buffer.concat([noise, more, Buffer.from([0, 0]), u16(areas.length), ...areas]);
  });
};

const pictureOf = async (guest: Duplex, signal = never, clock = manualClock()): Promise<Buffer> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of screenPicture(guest, clock, signal)) pieces.push(piece);
  return Buffer.concat(pieces);
};

test.each([
  [7, 3],
  [1_000, 700],
])('every point of a screen of %i by %i is in the picture', async (width, height) => {
  const guest = screen(width, height);
  const found = readPng(await pictureOf(guest));
  expect([found.width, found.height]).toEqual([width, height]);
  const wanted = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) wanted.set(pointAt(x, y), y * (1 + 3 * width) + 1 + 3 * x);
  expect(found.rows.equals(wanted)).toBe(true);
  expect(guest.destroyed).toBe(true);
});

const refused = (guest: Duplex) =>
  expect(pictureOf(guest)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' });

test('what is no screen, asks for a password, is too large or says what nobody asked for is refused', async () => {
  const other = new Duplex({ read: () => {}, write: (_, __, done) => done() });
  other.push('login: and more');
  await refused(other);
  await refused(serverOf(() => Buffer.from([0, 0, 0, 2])));
  await refused(screen(65_535, 2));
  await refused(screen(0, 2));
  await refused(screen(4, 4, Buffer.from([9])));
  const ended = new Duplex({ read: () => {}, write: (_, __, done) => done() });
  ended.push(null);
  await refused(ended);
});

test('a screen that says nothing is waited for so long, and not after the work was cancelled', async () => {
  const mute = (): Duplex => serverOf(() => undefined);
  const clock = manualClock();
  const late = pictureOf(mute(), never, clock);
  const failed = expect(late).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' });
  await clock.advance(30_000);
  await failed;
  const ending = new AbortController();
  const cancelled = pictureOf(mute(), ending.signal);
  ending.abort(new Error('cancelled'));
  await expect(cancelled).rejects.toThrow('cancelled');
});
