import type { RecordNamed } from '../../src/model/class.ts';
import { dateTimeOf, nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { rolesOfSubject, subjectOfUser, superuser } from '../../src/rules/local-users.ts';
import { openSession } from '../../src/rules/sessions.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { failuresOf } from './failures.ts';

/** Longer names of client programs are cut. */
export const originatorCharsMax = 256;

/** Fails, late, unless the password is the user's. The right one is never late. */
export const assertKnown = (
  working: Working<'session'>,
  user: string,
  password: string,
  originator: string,
): Promise<void> => admitted(working, { user, password, originator }, () => undefined);

interface Given {
  readonly user: string;
  readonly password: string;
  readonly originator: string;
}

/** What a user who is known gets, which may be a refusal. Every refusal is answered late. */
const admitted = async <T>(
  { services, signal, caller }: Working<'session'>,
  { user, password, originator }: Given,
  rights: () => T | Fault,
): Promise<T> => {
  const { credentials, clock, log } = services;
  const { address } = caller;
  const failures = failuresOf(credentials, clock);
  const cameMs = clock.monotonicMs();
  const found = await credentials.verify(user, password, address).then(
    (isRight) => (isRight ? rights() : refusedFor(user)),
    (error: unknown) => {
      if (error instanceof Fault) return error;
      throw error;
    },
  );
  if (!(found instanceof Fault)) return found;
  const count = failures.add(address);
  if (isPowerOfTwo(count)) log.warn({ user, originator, address, count }, 'Logins were refused');
  // Counted from when it came, so that the time of the answer does not tell what had to be done for it.
  await failures.wait(address, cameMs, signal);
  throw found;
};

const refusedFor = (user: string): Fault =>
  new Fault('SESSION_AUTHENTICATION_FAILED', [user, 'The user name or the password is wrong']);

/** Who guesses must not fill the log as well. */
const isPowerOfTwo = (count: number): boolean => Number.isInteger(Math.log2(count));

/**
 * Opens a session on this host alone, for which no other is needed: for the superuser, as nobody's roles are
 * known.
 */
export const loginHere = async (
  working: Working<'session'>,
  user: string,
  password: string,
): Promise<Ref<'session'>> => {
  await admitted(working, { user, password, originator: '' }, () =>
    user === superuser ? undefined : new Fault('SESSION_AUTHORIZATION_FAILED', [user, noSuperuser]),
  );
  return working.services.localSessions.open(user);
};

const noSuperuser = `Only ${superuser} can log in to one host alone`;

/** Opens a session for a user of this pool: the superuser, or one whose subject has a role. */
export const login = async (
  working: Working<'session'>,
  user: string,
  password: string,
  originator: string,
): Promise<Ref<'session'>> => {
  const { services, view } = working;
  const rights = await admitted(working, { user, password, originator }, () => rightsOf(view, user));
  const session = newRef<'session'>(services);
  await working.commit((tx) => open(tx, session, services, { ...rights, user, originator }));
  return session;
};

type Rights = Pick<RecordNamed<'session'>, 'is_local_superuser' | 'subject' | 'auth_user_sid'>;

/** What gives a user the right to log in, or why nothing does. */
const rightsOf = (view: View, user: string): Rights | Fault => {
  if (user === superuser)
    return { is_local_superuser: true, subject: nullRef as Ref<'subject'>, auth_user_sid: '' };
  const subject = subjectOfUser(view, user);
  if (subject === undefined) {
    return new Fault('SESSION_AUTHORIZATION_FAILED', [
      user,
      `Subject ${user} has no access rights in this pool`,
    ]);
  }
  if (rolesOfSubject(view, subject).length > 0)
    return { is_local_superuser: false, subject, auth_user_sid: user };
  return new Fault('RBAC_PERMISSION_DENIED', [
    'session.login_with_password',
    `Subject ${user} (identifier ${user}) has no roles in this pool`,
  ]);
};

interface Opening extends Rights {
  readonly user: string;
  readonly originator: string;
}

const open = (
  tx: Tx,
  session: Ref<'session'>,
  services: Services,
  { user, originator, ...rights }: Opening,
): void => {
  openSession(tx, session, {
    ...rights,
    uuid: services.random.uuid(),
    this_host: services.host,
    this_user: rights.is_local_superuser ? userNamed(tx, user) : nullRef,
    last_active: dateTimeOf(services.clock.now()),
    validation_time: dateTimeOf(services.clock.now()),
    auth_user_name: user,
    originator: originator.slice(0, originatorCharsMax),
  });
};

const userNamed = (tx: Tx, name: string): Ref<'user'> => {
  for (const [user, { short_name }] of tx.all('user')) if (short_name === name) return user;
  return nullRef as Ref<'user'>;
};
