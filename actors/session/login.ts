import { dateTimeOf, nullRef, type Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { sleep } from '../../src/std/clock.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { surplusSessions } from './collect.ts';

/** A wrong password is answered this late, so that guessing is slow. */
export const wrongPasswordMs = 5_000;
/**
 * Failed logins that wait for their late answer. Any more are answered at once: how fast passwords can
 * be guessed is then still bounded by how many are checked at the same time.
 */
export const delayedMax = 256;
/** Longer names of client programs are cut. */
export const originatorCharsMax = 256;

/** Failed logins that wait, for each host that runs in this process. */
const delayed = new WeakMap<Services['credentials'], number>();

const answerLate = async ({ services, signal }: Working<'session'>): Promise<void> => {
  const { credentials } = services;
  const waiting = delayed.get(credentials) ?? 0;
  if (waiting >= delayedMax) return;
  delayed.set(credentials, waiting + 1);
  try {
    await sleep(services.clock, wrongPasswordMs, signal);
  } finally {
    delayed.set(credentials, (delayed.get(credentials) ?? 1) - 1);
  }
};

/** Fails, late, unless the password is the user's. */
export const assertKnown = async (
  working: Working<'session'>,
  user: string,
  password: string,
  originator: string,
): Promise<void> => {
  const { services } = working;
  if (await services.credentials.verify(user, password)) return;
  services.log.warn({ user, originator }, 'A login was refused');
  await answerLate(working);
  throw new Fault('SESSION_AUTHENTICATION_FAILED', [user, 'The user name or the password is wrong']);
};

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
