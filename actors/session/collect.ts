import type { RecordNamed } from '../../src/model/class.ts';
import { millisecondsOf, nullRef, type Ref } from '../../src/model/types.ts';
import { surplusSessions } from '../../src/rules/sessions.ts';
import type { Tx, View } from '../../src/store/view.ts';

type Session = RecordNamed<'session'>;

/** A session that made no call for this long is ended. */
export const idleMs = 24 * 3_600_000;

/** An idle session stays while it, or one that it was opened on behalf of, still has work under way. */
const works = (view: View, session: Session): boolean => {
  const seen = new Set<Session>();
  for (let one: Session | undefined = session; one !== undefined && !seen.has(one); ) {
    seen.add(one);
    if (one.tasks.some((task) => pending(view, task))) return true;
    one = one.parent === nullRef ? undefined : view.get('session', one.parent);
  }
  return false;
};

const pending = (view: View, task: Ref<'task'>): boolean => {
  const status = view.get('task', task)?.status;
  return status === 'pending' || status === 'cancelling';
};

/** Ends sessions that are idle or too many. Answers how many. */
export const collectSessions = (tx: Tx, nowMs: number): number => {
  const rows = [...tx.all('session')];
  const surplus = surplusSessions(rows);
  const ended = rows.filter(
    ([ref, session]) =>
      surplus.has(ref) || (nowMs - millisecondsOf(session.last_active) > idleMs && !works(tx, session)),
  );
  for (const [ref] of ended) tx.delete('session', ref);
  return ended.length;
};
