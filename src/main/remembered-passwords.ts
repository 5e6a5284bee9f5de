import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock, Random } from '../std/clock.ts';

/**
 * What was found of passwords, so that a flood of guesses costs no hashes and keeps nobody out. A password
 * itself is never kept: only what a secret of this process makes of it, and of one that was right some time
 * ago only the first byte, which one guess in 256 has by chance.
 */
export interface RememberedPasswords<K> {
  /** Undefined: only its hash can tell. `kept` is what there is of the user now. */
  recall(attempt: Attempt, kept: K): boolean | undefined;
  learn(attempt: Attempt, kept: K, right: boolean): void;
}

/** One user's password as somebody gives it, unrecognisable. */
export type Attempt = { readonly user: string; readonly digest: Buffer };

/** A password that was right for a hash is taken as right this long; the hash is asked again after it. */
export const provenMsMax = 15 * 60_000;
/** Wrong passwords that are remembered; the one that was remembered longest goes first. */
export const wrongMax = 4_096;

export const attemptsOf = (random: Random): ((user: string, password: string) => Attempt) => {
  const secret = random.bytes(32);
  return (user, password) => ({
    user,
    // The length parts the two, so that no other pair has the same text.
    digest: createHmac('sha256', secret).update(`${user.length}:${user}${password}`).digest(),
  });
};

export const rememberedPasswords = <K>(clock: Clock, usersMax: number): RememberedPasswords<K> => {
  /** By user: bounded, as only those that there are can have a right password. */
  const right = new Map<string, { readonly kept: K; digest: Buffer; readonly atMs: number }>();
  const wrong = new Map<string, K>();
  return {
    recall: ({ user, digest }, kept) => {
      const known = right.get(user);
      if (known?.kept === kept) {
        if (known.digest.length > 1 && clock.monotonicMs() - known.atMs > provenMsMax)
          known.digest = Buffer.from(known.digest.subarray(0, 1));
        const isLike = timingSafeEqual(digest.subarray(0, known.digest.length), known.digest);
        if (!isLike) return false;
        if (known.digest.length > 1) return true;
      }
      return wrong.get(digest.toString('base64')) === kept ? false : undefined;
    },
    learn: ({ user, digest }, kept, isRight) => {
      const [into, max] = isRight ? ([right, usersMax] as const) : ([wrong, wrongMax] as const);
      if (isRight) {
        right.delete(user);
        right.set(user, { kept, digest, atMs: clock.monotonicMs() });
      } else wrong.set(digest.toString('base64'), kept);
      for (const oldest of into.keys()) {
        if (into.size <= max) return;
        into.delete(oldest);
      }
    },
  };
};
