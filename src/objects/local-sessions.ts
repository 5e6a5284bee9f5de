import type { Role } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Clock, Random } from '../std/clock.ts';

/**
 * Logins to one host alone, for repairs while its pool is out of reach. They are in its memory only: neither
 * do they need a coordinator, nor does any other host know of them.
 */
export interface LocalSessions {
  open(user: string): Ref<'session'>;
  /** Who logged in, or undefined when the session has ended or never was. */
  userOf(session: string): string | undefined;
  /**
   * A session for a program that this host runs, with the rights that it is to have. It counts as nobody's
   * login, and ends with `end` alone.
   */
  lend(to: Lent): Ref<'session'>;
  /** What a session was lent with. */
  lent(session: string): Lent | undefined;
  /** A call was made with it. */
  use(session: string): void;
  end(session: string): void;
  /** Ends those of one user, but for one. */
  endOf(user: string, but?: string): void;
  /** Told of each session that has ended, until the returned function is called. */
  onEnd(told: (session: string) => void): () => void;
}

/** The part of a caller that does not depend on the session. */
export interface Lent {
  readonly user: string;
  readonly role: Role;
  readonly originator: string;
  readonly driverOf?: Ref<'SR'>;
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
  const lent = new Map<string, Lent>();
  const listeners = new Set<(session: string) => void>();
  let isWatched = false;
  const note = (session: string, user: string): void => {
    sessions.delete(session);
    sessions.set(session, { user, activeMs: clock.monotonicMs() });
  };
  const end = (session: string): void => {
    if (!sessions.delete(session) && !lent.delete(session)) return;
    for (const told of listeners) told(session);
  };
  const isIdle = ({ activeMs }: { readonly activeMs: number }): boolean =>
    clock.monotonicMs() - activeMs > localIdleMsMax;
  const watchIdle = (): void => {
    const [oldest] = sessions.values();
    if (oldest === undefined || isWatched) return;
    isWatched = true;
    clock.after(oldest.activeMs + localIdleMsMax + 1 - clock.monotonicMs(), endIdle);
  };
  /** What runs for a session ends with it, also while nobody calls. */
  const endIdle = (): void => {
    isWatched = false;
    for (const [session, used] of sessions) if (isIdle(used)) end(session);
    watchIdle();
  };
  return {
    open: (user) => {
      const session = `OpaqueRef:${random.uuid()}` as Ref<'session'>;
      note(session, user);
      const [oldest] = sessions.keys();
      if (sessions.size > localSessionsMax && oldest !== undefined) end(oldest);
      watchIdle();
      return session;
    },
    userOf: (session) => {
      const known = sessions.get(session);
      if (known === undefined) return undefined;
      if (isIdle(known)) {
        end(session);
        return undefined;
      }
      return known.user;
    },
    lend: (to) => {
      const session = `OpaqueRef:${random.uuid()}` as Ref<'session'>;
      lent.set(session, to);
      return session;
    },
    lent: (session) => lent.get(session),
    use: (session) => {
      const known = sessions.get(session);
      if (known !== undefined) note(session, known.user);
    },
    end,
    endOf: (user, but) => {
      for (const [session, known] of sessions) if (known.user === user && session !== but) end(session);
    },
    onEnd: (told) => {
      listeners.add(told);
      return () => listeners.delete(told);
    },
  };
};
