import type { Ref } from '../model/types.ts';
import type { Clock, Random } from '../std/clock.ts';

/**
 * Logins to one host alone, for repairs while its pool is out of reach. They are in its memory only: neither do
 * they need a coordinator, nor does any other host know of them.
 */
export interface LocalSessions {
  open(user: string): Ref<'session'>;
  /** Who logged in, or undefined when the session has ended or never was. */
  userOf(session: string): string | undefined;
  end(session: string): void;
}

/** One more ends the one that was idle longest, so that a client that never logs out shuts nobody out. */
export const localSessionsMax = 64;
/** A session that made no call for this long has ended. */
export const localIdleMsMax = 24 * 3_600_000;

export const localSessionsOf = ({
  clock,
  random,
}: {
  readonly clock: Clock;
  readonly random: Random;
}): LocalSessions => {
  /** The one that was idle longest comes first. */
  const sessions = new Map<string, { readonly user: string; readonly activeMs: number }>();
  const use = (session: string, user: string): void => {
    sessions.delete(session);
    sessions.set(session, { user, activeMs: clock.monotonicMs() });
  };
  return {
    open: (user) => {
      const session = `OpaqueRef:${random.uuid()}` as Ref<'session'>;
      use(session, user);
      const [oldest] = sessions.keys();
      if (sessions.size > localSessionsMax && oldest !== undefined) sessions.delete(oldest);
      return session;
    },
    userOf: (session) => {
      const known = sessions.get(session);
      if (known === undefined) return undefined;
      if (clock.monotonicMs() - known.activeMs > localIdleMsMax) {
        sessions.delete(session);
        return undefined;
      }
      use(session, known.user);
      return known.user;
    },
    end: (session) => {
      sessions.delete(session);
    },
  };
};
