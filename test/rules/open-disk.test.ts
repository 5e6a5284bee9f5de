// Goal: bytes that go to a disk in several pieces at once, and come back so, are those bytes.
// Method: a disk of a simulated repository in a whole runtime, larger than what is under way at once, whose reads and
//   writes take a turn each; random bytes.
import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createVdi } from '../actors/storage-world.ts';
import { xvaWorld } from '../actors/xva-world.ts';

test('a disk of many pieces is read as it was written', async () => {
  const w = await xvaWorld();
  const { openVolume } = w.storage;
  w.storage.openVolume = async (...args) => {
    const open = await openVolume(...args);
    const read: typeof open.read = async (...at) => {
      await turn();
      return open.read(...at);
    };
    const write: typeof open.write = async (...at) => {
      await turn();
      return open.write(...at);
    };
    return { ...open, read, write };
  };
  const bytes = randomBytes(11 * (1 << 20) + 512);
  const vdi = await createVdi(w, w.sr, { virtual_size: BigInt(bytes.length) });
  await w.fill(vdi, bytes);
  expect((await w.bytesOf(vdi)).equals(bytes)).toBe(true);
  await w.close();
});
