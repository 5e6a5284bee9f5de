import { dateTimeOf, nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { surplusSessions } from './collect.ts';
import { failuresOf } from './failures.ts';

/** Longer names of client programs are cut. */
export const originatorCharsMax = 256;

/** Fails, late, unless the password is the user's. The right one is never late. */
export const assertKnown = async (
  { services, signal, caller }: Working<'session'>,
  user: string,
  password: string,
  originator: string,
): Promise<void> => {
  const { credentials, clock, log } = services;
  const { address } = caller;
  const failures = failuresOf(credentials, clock);
  const cameMs = clock.monotonicMs();
  const refusal = await credentials.verify(user, password, address).then(
    (isRight) => (isRight ? undefined : refusedFor(user)),
    (error: unknown) => error,
  );
  if (refusal === undefined) return;
  const count = failures.add(address);
  if (isPowerOfTwo(count)) log.warn({ user, originator, address, count }, 'Logins were refused');
  // Counted from when it came, so that the time of the answer does not tell what had to be done for it.
  await failures.wait(address, cameMs, signal);
  throw refusal;
};

const refusedFor = (user: string): Fault =>
  new Fault('SESSION_AUTHENTICATION_FAILED', [user, 'The user name or the password is wrong']);

/** Who guesses must not fill the log as well. */
const isPowerOfTwo = (count: number): boolean => Number.isInteger(Math.log2(count));

/** Opens a session on this host alone, for which no other is needed. */
export const loginHere = async (
  working: Working<'session'>,
  user: string,
  password: string,
): Promise<Ref<'session'>> => {
  await assertKnown(working, user, password, '');
  return working.services.localSessions.open(user);
};

/** Opens a session for a local account. Every local account is a superuser. */
export const login = async (
  working: Working<'session'>,
  user: string,
  password: string,
  originator: string,
): Promise<Ref<'session'>> => {
  const { services } = working;
  await assertKnown(working, user, password, originator);
  const session = newRef<'session'>(services);
  await working.commit((tx) => open(tx, session, services, user, originator));
  return session;
};

const open = (
  tx: Tx,
  session: Ref<'session'>,
  services: Services,
  user: string,
  originator: string,
): void => {
  tx.create('session', session, {
    uuid: services.random.uuid(),
    this_host: services.host,
    this_user: userNamed(tx, user),
    last_active: dateTimeOf(services.clock.now()),
    is_local_superuser: true,
    auth_user_name: user,
    originator: originator.slice(0, originatorCharsMax),
  });
  // Room is made by ending the sessions that were idle longest, so that a client that never logs out
  // shuts nobody out.
  const opened = tx.require('session', session);
  for (const surplus of surplusSessions([...tx.all('session'), [session, opened]])) {
    if (surplus !== session) tx.delete('session', surplus);
  }
};

const userNamed = (tx: Tx, name: string): Ref<'user'> => {
  for (const [user, { short_name }] of tx.all('user')) if (short_name === name) return user;
  return nullRef as Ref<'user'>;
};
