import { randomBytes, randomUUID } from 'node:crypto';
import type { Random } from '../../std/clock.ts';

/** The randomness of the operating system; `fraction` is the fast one of the engine. */
export const nodeRandom: Random = {
  uuid: () => randomUUID(),
  bytes: (count) => randomBytes(count),
  fraction: () => Math.random(),
};
