import type { RecordNamed } from '../model/class.ts';
import { millisecondsOf, type Ref } from '../model/types.ts';
import type { Tx } from '../store/view.ts';

// How many sessions there can be, whoever opens them.

type Session = RecordNamed<'session'>;
type Row = readonly [Ref<'session'>, Session];

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

/** Room is made by ending those that were idle longest: a client that never logs out shuts nobody out. */
export const openSession = (
  tx: Tx,
  session: Ref<'session'>,
  fields: Omit<Partial<Session>, 'tasks'>,
): void => {
  tx.create('session', session, fields as never);
  const opened = tx.require('session', session);
  for (const surplus of surplusSessions([...tx.all('session'), [session, opened]])) {
    if (surplus !== session) tx.delete('session', surplus);
  }
};
