import type { HttpHead } from '../drivers/http/http.ts';
import type { RecordNamed, Role } from '../model/class.ts';
import { dateTimeOf, millisecondsOf, nullRef, type Ref } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import type { Caller } from '../objects/implement.ts';
import type { Invoker } from '../objects/invoke.ts';
import type { LocalSessions } from '../objects/local-sessions.ts';
import type { Services } from '../objects/services.ts';
import { rolesOfSubject } from '../rules/local-users.ts';
import { Fault } from '../std/fault.ts';
import type { Store } from '../store/store.ts';
import { cookieNamed } from './cookies.ts';

/** A session says when it was last used only this coarsely, so that reads do not become writes. */
export const lastActiveMs = 600_000;

/** Who calls before anyone has logged in. */
export const nobodyAt = (address: string): Caller => ({
  session: nullRef as Ref<'session'>,
  user: '',
  role: 'read-only',
  originator: '',
  address,
});

/** Who calls by a socket of this host's before anyone has logged in: whoever may use its files. */
export const localNobody: Caller = {
  session: nullRef as Ref<'session'>,
  user: '',
  role: '_local_root_',
  originator: '',
};

/** Who asks by such a socket for something by HTTP. */
const localRoot: Caller = { ...localNobody, user: 'root' };

/** Nobody was named in an HTTP request, or wrongly: answered 401. */
export class Unauthorised extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Unauthorised';
  }
}

/** Where sessions are looked up. */
export type Sessions = Pick<Services, 'store' | 'clock' | 'localSessions' | 'host' | 'availability'>;

/** Who calls with a session, which is used by that. Throws SESSION_INVALID. */
export const sessionCaller = (sessions: Sessions, session: string): Caller => {
  const caller = callingCaller(sessions, session);
  refresh(sessions, caller.session);
  return caller;
};

/**
 * Who may call with a session. One that was opened here while this host led is no good here any more once
 * clients are sent to another coordinator: they log in anew, and are told where. Throws SESSION_INVALID.
 */
export const callingCaller = (sessions: Sessions, session: string): Caller => {
  const caller = sessionOwner(sessions, session);
  const { store, host, availability } = sessions;
  const openedHere = store.committed.get('session', caller.session)?.this_host === host;
  const { coordinator, serves } = availability();
  if (openedHere && coordinator !== undefined && serves !== true)
    throw new Fault('SESSION_INVALID', [session]);
  return caller;
};

/** Who stands behind a session, as its user's rights are now. Throws SESSION_INVALID. */
export const sessionOwner = ({ store, localSessions }: Sessions, session: string): Caller => {
  const ref = session as Ref<'session'>;
  const row = store.committed.get('session', ref);
  if (row === undefined) return localCaller(localSessions, ref);
  return {
    session: ref,
    user: row.auth_user_name !== '' || !row.is_local_superuser ? row.auth_user_name : 'root',
    role: row.is_local_superuser ? '_local_root_' : subjectRole(store, ref, row.subject),
    originator: row.originator,
  };
};

const localCaller = (localSessions: LocalSessions, session: Ref<'session'>): Caller => {
  const lent = localSessions.lent(session);
  if (lent !== undefined) return { session, ...lent };
  const user = localSessions.userOf(session);
  if (user === undefined) throw new Fault('SESSION_INVALID', [session]);
  return { session, user, role: '_local_root_', originator: '' };
};

/** Read once for each version of a session: every call of it asks. */
const activeMs = (session: SessionRecord): number => {
  const known = activities.get(session) ?? millisecondsOf(session.last_active);
  activities.set(session, known);
  return known;
};
type SessionRecord = RecordNamed<'session'>;
const activities = new WeakMap<SessionRecord, number>();

const refresh = ({ store, clock, localSessions }: Sessions, session: Ref<'session'>): void => {
  const nowMs = clock.now();
  const latest = store.latest.get('session', session);
  if (latest === undefined) localSessions.use(session);
  if (latest === undefined || nowMs - activeMs(latest) < lastActiveMs) return;
  // Nobody waits for it: a session that is ended meanwhile has nothing left to refresh.
  store
    .commit((tx) => {
      if (tx.get('session', session) === undefined) return;
      tx.patch('session', session, { last_active: dateTimeOf(nowMs) });
    })
    .catch(() => {});
};

/** The strongest role of a user. One who has none any more has no rights left to call with. */
const subjectRole = (store: Store, session: string, subject: Ref<'subject'>): Role => {
  const strongest = rolesOfSubject(store.committed, subject).at(-1);
  if (strongest === undefined) throw new Fault('SESSION_INVALID', [session]);
  return strongest;
};

export interface HttpIdentity {
  readonly caller: Caller;
  /** Ends what was opened for this one request. Never rejects. */
  end(): Promise<void>;
}

export interface HttpAuthentication {
  /** Whoever asks may use this host's files. */
  readonly local?: true | undefined;
  readonly catalog: Catalog;
  readonly services: Services;
  readonly invoker: Invoker;
}

/**
 * The user of an HTTP request: by the cookie `session_id` or the query, else by Basic. Whoever names none is
 * the superuser at a socket of this host's, nobody where the action is `open`, and else `Unauthorised`.
 */
export const authenticate = async (
  head: HttpHead,
  by: HttpAuthentication,
  open: boolean,
): Promise<HttpIdentity> => {
  const { local } = by;
  const session = cookieNamed(head.headers['cookie'] ?? '', 'session_id') ?? head.query.get('session_id');
  if (session !== undefined && session !== null) {
    const caller = { ...callerOf(by, session), address: head.remoteAddress };
    return { caller, end: async () => {} };
  }
  const basic = basicOf(head.headers['authorization']);
  if (basic === undefined && local === true) return { caller: localRoot, end: async () => {} };
  if (basic === undefined && open) return { caller: nobodyAt(head.remoteAddress), end: async () => {} };
  if (basic === undefined)
    throw new Unauthorised('Give a session_id in the query or a cookie, or log in with Basic');
  return logIn(by, basic, head);
};

const callerOf = ({ services }: HttpAuthentication, session: string): Caller => {
  try {
    return sessionCaller(services, session);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new Unauthorised('The session is not valid: log in again');
  }
};

const logIn = async (
  by: HttpAuthentication,
  [user, password]: readonly [string, string],
  head: HttpHead,
): Promise<HttpIdentity> => {
  const originator = head.headers['user-agent']?.slice(0, 200) ?? 'HTTP';
  const opened = await send(
    by,
    'session.login_with_password',
    [user, password, '1.0', originator],
    nobodyAt(head.remoteAddress),
  ).catch((error) => {
    if (error instanceof Fault && error.code.startsWith('SESSION_')) {
      throw new Unauthorised('The user name or the password is wrong');
    }
    throw error;
  });
  const caller = sessionCaller(by.services, opened as string);
  return {
    caller,
    end: () =>
      send(by, 'session.logout', [], caller).then(
        () => {},
        () => {},
      ),
  };
};

const send = async (
  { catalog, invoker }: HttpAuthentication,
  method: string,
  args: readonly unknown[],
  caller: Caller,
): Promise<unknown> => {
  const message = catalog.find(method);
  if (message === undefined) throw new Error(`Nothing answers ${method}`);
  return invoker.invoke({ message, args, caller, watched: 'untracked' });
};

/** User and password; a password may hold colons, a user may not. */
export const basicOf = (header: string | undefined): readonly [string, string] | undefined => {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const at = text.indexOf(':');
  return at < 0 ? undefined : [text.slice(0, at), text.slice(at + 1)];
};
