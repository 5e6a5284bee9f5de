import type { Role } from '../model/class.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { listedRoles, roleRef } from '../objects/roles.ts';
import type { Services } from '../objects/services.ts';
import { newRef } from '../objects/tasks.ts';
import { Fault } from '../std/fault.ts';
import type { Tx, View } from '../store/view.ts';

// Users of this product itself: a password among the host's credentials, and the role of a subject whose
// identifier is the user's name. Root alone needs none.

export const superuser = 'root';

const nameForm = /^[a-z_][a-z0-9_.-]{0,31}$/i;

/** Throws INVALID_VALUE for what no user can be called. */
export const assertUserName = (name: string): void => {
  if (nameForm.test(name)) return;
  throw new Fault('INVALID_VALUE', [
    'name',
    'A user has up to 32 letters, digits, _, . and -, the first of them a letter or _',
  ]);
};

export const assertUserRole = (role: string): void => {
  if ((listedRoles as readonly string[]).includes(role)) return;
  throw new Fault('INVALID_VALUE', ['role', `The roles are ${listedRoles.join(', ')}`]);
};

export const subjectOfUser = (view: View, user: string): Ref<'subject'> | undefined => {
  for (const [ref, { subject_identifier }] of view.all('subject'))
    if (subject_identifier === user) return ref;
  return undefined;
};

/** Names of the roles that a subject has, weakest first. */
export const rolesOfSubject = (view: View, subject: Ref<'subject'>): readonly Role[] => {
  const names = (view.get('subject', subject)?.roles ?? []).map((role) => view.get('role', role)?.name_label);
  return listedRoles.filter((role) => names.includes(role));
};

/** Gives a user this role and no other; open sessions have it from then on. */
export const giveRole = (tx: Tx, services: Pick<Services, 'random'>, user: string, role: string): void => {
  const roles = [roleRef(role)];
  const known = subjectOfUser(tx, user);
  if (known !== undefined) {
    tx.patch('subject', known, { roles });
    return;
  }
  tx.create('subject', newRef<'subject'>(services), {
    uuid: services.random.uuid(),
    subject_identifier: user,
    other_config: new Map([
      ['subject-name', user],
      ['subject-is-group', 'false'],
    ]),
    roles,
  });
};

/** Ends every session of a user but one. */
export const endSessions = (tx: Tx, user: string, but: Ref<'session'> = nullRef as Ref<'session'>): void => {
  for (const [ref, { auth_user_name, pool }] of [...tx.all('session')]) {
    if (auth_user_name === user && !pool && ref !== but) tx.delete('session', ref);
  }
};

/** Takes a user's role and sessions. */
export const dismiss = (tx: Tx, user: string): void => {
  const subject = subjectOfUser(tx, user);
  if (subject !== undefined) tx.delete('subject', subject);
  endSessions(tx, user);
};
