import type { Duplex } from 'node:stream';
import { createDeflate } from 'node:zlib';
import { pngEnd, pngHead, pngPiece } from '../codec/png.ts';
import {
  RFB_AREA_BYTES,
  RFB_OPEN,
  RFB_POINT_BYTES,
  RFB_SCREEN_BYTES,
  type RfbArea,
  type RfbScreen,
  rfbArea,
  rfbFormat,
  rfbSaid,
  rfbScreen,
  rfbShared,
  rfbVersion,
  rfbWanted,
} from '../codec/rfb.ts';
import { through } from '../codec/through.ts';
import type { Clock } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import { type ImageBytes, imageBytes } from './images/image-bytes.ts';

// A picture of a guest's screen. It is asked for in bands, so that a large screen takes no more memory than a
// small one; what the guest or its emulator says is not trusted.

/** For the whole picture. */
export const pictureMsMax = 30_000;
export const screenSideMax = 16_384;
/** Points of a band, which are in memory. */
const bandBytesMax = 1 << 20;
/** Of texts that nobody wants. */
const textBytesMax = 1 << 20;

const noPicture = (why: string): Fault =>
  new Fault('OPERATION_NOT_ALLOWED', [`The screen gave no picture, try again: ${why}`]);

/** The pieces of a PNG. Ends the stream. Throws a fault where the screen gives no picture, or is too slow. */
export async function* screenPicture(
  guest: Duplex,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const end = (): void => void guest.destroy();
  const stopWaiting = clock.after(pictureMsMax, end);
  signal.addEventListener('abort', end, { once: true });
  guest.on('error', () => {});
  const said = imageBytes(guest);
  try {
    const screen = await greeted(guest, said);
    // The head goes with the first points: until there are some, a refusal can still be the answer.
    let head = pngHead(screen.width, screen.height);
    const packer = createDeflate();
    for await (const piece of through(rowsOf(guest, said, screen), packer, packer)) {
      yield Buffer.concat([head, pngPiece(piece)]);
      head = Buffer.alloc(0);
    }
    yield pngEnd();
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof Fault ? error : noPicture('the connection to it ended');
  } finally {
    stopWaiting();
    signal.removeEventListener('abort', end);
    end();
  }
}

const greeted = async (guest: Duplex, said: ImageBytes): Promise<RfbScreen> => {
  const version = await said.exactly(rfbVersion.length);
  if (!/^RFB 003\.\d{3}\n$/.test(version.toString('latin1'))) throw noPicture('it speaks no RFB');
  guest.write(rfbVersion);
  if ((await said.exactly(4)).readUInt32BE(0) !== RFB_OPEN) throw noPicture('it asks for a password');
  guest.write(rfbShared);
  const screen = rfbScreen(await said.exactly(RFB_SCREEN_BYTES));
  const { width, height } = screen;
  if (Math.min(width, height) < 1 || Math.max(width, height) > screenSideMax)
    throw noPicture(`it has ${width} by ${height} points, and may have ${screenSideMax}`);
  await passOver(said, screen.nameBytes);
  guest.write(rfbFormat());
  return screen;
};

const passOver = async (said: ImageBytes, count: number): Promise<void> => {
  if (count > textBytesMax) throw noPicture(`it said ${count} bytes of text`);
  await said.skipTo(said.position + count);
};

/** The rows as PNG has them, some at a time. */
async function* rowsOf(guest: Duplex, said: ImageBytes, { width, height }: RfbScreen) {
  const rowsMax = Math.max(1, Math.floor(bandBytesMax / (width * RFB_POINT_BYTES)));
  for (let y = 0; y < height; y += rowsMax) {
    const band = { x: 0, y, width, height: Math.min(rowsMax, height - y) };
    guest.write(rfbWanted(band));
    const rows = Buffer.alloc(band.height * (1 + 3 * width));
    await takeUpdate(said, band, rows);
    yield rows;
  }
}

/** One answer to what was asked for; bells, colours and texts may come before it. */
const takeUpdate = async (said: ImageBytes, band: RfbArea, rows: Buffer): Promise<void> => {
  for (;;) {
    const what = (await said.exactly(1)).readUInt8(0);
    if (what === rfbSaid.bell) continue;
    if (what === rfbSaid.text) {
      await passOver(said, (await said.exactly(7)).readUInt32BE(3));
    } else if (what === rfbSaid.colours) {
      await passOver(said, 6 * (await said.exactly(5)).readUInt16BE(3));
    } else if (what === rfbSaid.points) {
      const areas = (await said.exactly(3)).readUInt16BE(1);
      for (let i = 0; i < areas; i += 1) await takeArea(said, band, rows);
      return;
    } else throw noPicture(`it said ${what}, which nobody asked for`);
  }
};

/** Points of an area, of which those in the band are taken. */
const takeArea = async (said: ImageBytes, band: RfbArea, rows: Buffer): Promise<void> => {
  const { x, y, width, height, encoding } = rfbArea(await said.exactly(RFB_AREA_BYTES));
  if (encoding !== 0) throw noPicture(`it sent points in encoding ${encoding}`);
  for (let row = y; row < y + height; row += 1) {
    const points = await said.exactly(width * RFB_POINT_BYTES);
    if (row < band.y || row >= band.y + band.height) continue;
    const start = (row - band.y) * (1 + 3 * band.width) + 1;
    for (let at = 0; at < Math.min(width, band.width - x); at += 1)
      points.copy(rows, start + 3 * (x + at), at * RFB_POINT_BYTES, at * RFB_POINT_BYTES + 3);
  }
};
