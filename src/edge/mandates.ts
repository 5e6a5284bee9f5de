import type { Services } from '../objects/services.ts';
import { asFault, type Fault } from '../std/fault.ts';

/**
 * The right to go on doing something for a session after it was asked for once. What runs on behalf of a
 * session, be it a console, an image or a wait for events, holds one and ends when it is withdrawn.
 */
export interface Mandate {
  /**
   * Throws the fault that the same request would be answered with now. Must not count as a use of the
   * session.
   */
  readonly check: () => void;
  /** Called at most once, with that fault. */
  readonly withdrawn: (fault: Fault) => void;
}

export interface Mandates {
  /**
   * The check is asked again whenever something has changed that it may depend on. The returned function ends
   * it.
   */
  give(session: string, mandate: Mandate): () => void;
  /** Those that are in force. */
  readonly size: number;
  stop(): void;
}

export const mandatesOf = ({
  store,
  localSessions,
  onAvailability,
}: Pick<Services, 'store' | 'localSessions' | 'onAvailability'>): Mandates => {
  const bySession = new Map<string, Set<Mandate>>();
  let size = 0;

  const end = (session: string, mandate: Mandate): void => {
    const those = bySession.get(session);
    if (those?.delete(mandate) !== true) return;
    size -= 1;
    if (those.size === 0) bySession.delete(session);
  };
  const review = (session: string): void => {
    for (const mandate of [...(bySession.get(session) ?? [])]) {
      try {
        mandate.check();
      } catch (error) {
        end(session, mandate);
        mandate.withdrawn(asFault(error));
      }
    }
  };
  const reviewAll = (): void => {
    for (const session of [...bySession.keys()]) review(session);
  };

  const stops = [
    store.watch((changes) => {
      if (size === 0) return;
      for (const { entry } of changes) if (entry.cls === 'session') review(entry.ref);
      // Rights come from subjects and their roles, which change seldom.
      if (changes.some(({ entry }) => entry.cls === 'subject' || entry.cls === 'role')) reviewAll();
    }),
    localSessions.onEnd(review),
    onAvailability?.(reviewAll) ?? (() => {}),
  ];

  return {
    give: (session, mandate) => {
      const those = bySession.get(session) ?? new Set();
      bySession.set(session, those.add(mandate));
      size += 1;
      return () => end(session, mandate);
    },
    get size() {
      return size;
    },
    stop: () => {
      for (const stop of stops) stop();
    },
  };
};
