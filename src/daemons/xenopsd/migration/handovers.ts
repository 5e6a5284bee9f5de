import type { Disk } from '../../../drivers/disk.ts';
import { XenopsError } from '../../../drivers/hypervisor/hypervisor.ts';
import type { Random } from '../../../std/clock.ts';
import { DecodeFailure } from '../../../std/decode-failure.ts';
import { itemsOf, jsonOf, member, required, stringOf } from '../../../std/reader.ts';

/**
 * Which guests were handed over to this daemon. It is the destination that decides: the guest is its own
 * from the moment that the migration's token is in this file, and not before. The file is synced, because
 * a source that lost touch asks for the answer later, when this host may have lost its power in between.
 */
export interface Handovers {
  /** A name for one migration to here. Throws when too many are remembered. */
  newToken(): string;
  /** Throws for a token that another daemon gave out: about that one nothing is known here. */
  check(token: string): void;
  has(token: string): boolean;
  add(token: string): Promise<void>;
  remove(token: string): Promise<void>;
}

/**
 * Sources say when they need the answer no longer; those that died before stay. At the limit no more come.
 */
export const HANDOVERS_MAX = 10_000;
const FILE_MAX = 4 * 1024 * 1024;

interface Kept {
  /** Names this state folder, so that its tokens are told from those of any other. */
  readonly place: string;
  readonly taken: readonly string[];
}

export const openHandovers = async (
  disk: Disk,
  random: Random,
  path: string,
  handoversMax = HANDOVERS_MAX,
): Promise<Handovers> => {
  const kept = await load(disk, random, path);
  const taken = new Set(kept.taken);
  let writing: Promise<void> = Promise.resolve();

  const save = (): Promise<void> => {
    writing = writing
      .catch(() => {})
      .then(() => disk.replaceText(path, JSON.stringify({ place: kept.place, taken: [...taken] })));
    return writing;
  };
  return {
    newToken: () => {
      if (taken.size < handoversMax) return `${kept.place}.${random.uuid()}`;
      throw new XenopsError('Internal_error', [
        `${handoversMax} migrations to this host were never finished by the hosts that they came from`,
      ]);
    },
    check: (token) => {
      if (token.startsWith(`${kept.place}.`)) return;
      throw new XenopsError('Internal_error', ['this daemon is not the destination of that migration']);
    },
    has: (token) => taken.has(token),
    add: async (token) => {
      taken.add(token);
      await save().catch((error) => {
        taken.delete(token);
        throw error;
      });
    },
    remove: async (token) => {
      if (taken.delete(token)) await save();
    },
  };
};

const load = async (disk: Disk, random: Random, path: string): Promise<Kept> => {
  if (await disk.exists(path)) {
    try {
      const kept = jsonOf(await disk.readText(path, FILE_MAX));
      return {
        place: required(kept, 'place', stringOf),
        taken: itemsOf(member(kept, 'taken'), stringOf, 'taken'),
      };
    } catch (error) {
      if (!(error instanceof DecodeFailure)) throw error;
      throw new Error(`${path} does not say which guests were handed over to this host: ${error.message}`);
    }
  }
  const fresh: Kept = { place: random.uuid(), taken: [] };
  await disk.replaceText(path, JSON.stringify(fresh));
  return fresh;
};
