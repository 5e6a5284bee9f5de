import type { WireMessage } from '../model/derive.ts';
import { Fault } from '../std/fault.ts';

/** What the disk of the data folder has. */
export interface Space {
  readonly freeBytes: bigint;
  readonly totalBytes: bigint;
}

/**
 * Room on the disk of the data folder. What is left of it at the end is for what ends work and what gives
 * room back: new work that needs room is refused before.
 */
export interface DataRoom {
  /** As of the last look. */
  readonly isShort: boolean;
  /** Answers what has changed since the look before. */
  look(): Promise<'short' | 'enough' | undefined>;
}

/** Of the disk, and at most so much: below this new work is refused. */
const keptShare = 10n;
export const keptBytesMax = 256n << 20n;
/** Of what is kept: with this much new work goes on. */
const enoughPercent = 125n;

/** A disk that cannot be looked at has room, as what is written to it says otherwise itself. */
export const roomOf = (space: () => Promise<Space>): DataRoom => {
  let isShort = false;
  return {
    get isShort() {
      return isShort;
    },
    look: async () => {
      const found = await space().catch(() => undefined);
      if (found === undefined) return undefined;
      const { freeBytes, totalBytes } = found;
      const share = totalBytes / keptShare;
      const kept = share < keptBytesMax ? share : keptBytesMax;
      const was = isShort;
      isShort = freeBytes < (was ? (kept * enoughPercent) / 100n : kept);
      if (isShort === was) return undefined;
      return isShort ? 'short' : 'enough';
    },
  };
};

/** Of these every message passes: tasks are ended, events and sessions followed by them. */
const sparingClasses: ReadonlySet<string> = new Set(['task', 'event', 'session']);

/** How messages are done: those with `read` only read. */
interface Handlers {
  handler(message: WireMessage): object | undefined;
}

/** Whether a call brings something new, which a disk without room must not begin with. */
export const needsRoom = ({ handler }: Handlers, message: WireMessage): boolean => {
  const { cls, kind, action, declared } = message;
  if (sparingClasses.has(cls.name)) return false;
  if (kind === 'action') return action?.method === 'PUT' || action?.method === 'POST';
  if (kind === 'constructor' || kind === 'setter' || kind === 'adder') return true;
  if (kind !== 'explicit' || declared?.frees === true) return false;
  const how = handler(message);
  return how !== undefined && !('read' in how);
};

/** Throws OUT_OF_SPACE where there is no room for what the message brings, as of now. */
export const assertRoom = async (room: DataRoom, handlers: Handlers, message: WireMessage): Promise<void> => {
  if (!needsRoom(handlers, message)) return;
  await room.look();
  if (room.isShort) throw noRoom();
};

const noRoom = (): Fault =>
  new Fault('OUT_OF_SPACE', [
    'the data folder: its disk is nearly full, and what is left is kept for ending work and for giving ' +
      'room back. Free some space on it, then repeat the call',
  ]);
