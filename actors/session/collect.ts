import type { RecordNamed } from '../../src/model/class.ts';
import { millisecondsOf, nullRef, type Ref } from '../../src/model/types.ts';
import type { Tx, View } from '../../src/store/view.ts';

type Session = RecordNamed<'session'>;
type Row = readonly [Ref<'session'>, Session];

/** A session that made no call for this long is ended. */
export const idleMs = 24 * 3_600_000;
export const sessionsPerOriginatorMax = 500;
export const sessionsPerUserMax = 500;
/** Sessions that name neither a user nor a client program. */
export const sessionsAnonymousMax = 400;
/** Sessions that hosts of the pool have with each other. */
export const sessionsOfPoolMax = 400;
export const sessionsMax = 4_000;

/** The groups that a session counts in, each with its limit. */
const groupsOf = (session: Session): readonly (readonly [group: string, max: number])[] => {
  if (session.pool) return [['pool', sessionsOfPoolMax]];
  const groups: (readonly [string, number])[] = [['all', sessionsMax]];
  const { originator, auth_user_name: user } = session;
  if (originator !== '') groups.push([`originator ${originator}`, sessionsPerOriginatorMax]);
  // A superuser's programs are told apart by their originator; a directory user has one allowance for all.
  if (user !== '' && !session.is_local_superuser) groups.push([`user ${user}`, sessionsPerUserMax]);
  if (originator === '' && (user === '' || session.is_local_superuser))
    groups.push(['anonymous', sessionsAnonymousMax]);
  return groups;
};

/** The sessions that are too many in one of their groups: those idle longest. */
export const surplusSessions = (rows: Iterable<Row>): ReadonlySet<Ref<'session'>> => {
  const newestFirst = [...rows].sort(
    ([, a], [, b]) => millisecondsOf(b.last_active) - millisecondsOf(a.last_active),
  );
  const counts = new Map<string, number>();
  const surplus = new Set<Ref<'session'>>();
  for (const [ref, session] of newestFirst) {
    const groups = groupsOf(session);
    if (groups.some(([group, max]) => (counts.get(group) ?? 0) >= max)) surplus.add(ref);
    else for (const [group] of groups) counts.set(group, (counts.get(group) ?? 0) + 1);
  }
  return surplus;
};

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
