import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Caller, type Deciding, implement, type Reading } from '../../src/objects/implement.ts';
import { rightsOf } from '../../src/objects/roles.ts';
import { endSessions, rolesOfSubject, superuser } from '../../src/rules/local-users.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { session } from './class.ts';
import { assertKnown, login, loginHere } from './login.ts';

const end = (deciding: Deciding): void => {
  endHere(deciding);
  deciding.tx.delete('session', deciding.caller.session);
};

const endHere = ({ services, caller }: Pick<Deciding, 'services' | 'caller'>): void =>
  services.localSessions.end(caller.session);

/** Whoever may use this host's files has its superuser's rights already: no password says more. */
const isAtTheMachine = (caller: Caller, user: string): boolean =>
  caller.role === '_local_root_' && caller.user === '' && user === superuser;

/** A pool of one host has no secret that its hosts share, so no secret is the right one. */
const refuseSecret = (name: string): never => {
  throw new Fault('SESSION_AUTHENTICATION_FAILED', [
    name,
    'This pool takes no logins by a pool secret: log in with a user name and a password',
  ]);
};

/** The sessions of directory users; those of local superusers have no identifier. */
const subjectsOf = (identifiers: Iterable<string>): readonly string[] => [
  ...new Set([...identifiers].filter((identifier) => identifier !== '')),
];

/** What a session's user is known by: his own identifier, and that of the subject that let him in. */
const identifiersOf = (
  view: View,
  { is_local_superuser, auth_user_sid, subject }: Session,
): readonly string[] =>
  is_local_superuser ? [] : [auth_user_sid, view.get('subject', subject)?.subject_identifier ?? ''];
type Session = RecordNamed<'session'>;

const own = ({ view, self }: Reading): Session => view.require('session', self as Ref<'session'>);

/** Computed, so that they are what the session may do now; it is a long list that nobody needs to keep. */
const permissions = (reading: Reading): readonly string[] => {
  const { view, services } = reading;
  const { is_local_superuser, subject } = own(reading);
  if (is_local_superuser) return [];
  const strongest = rolesOfSubject(view, subject).at(-1);
  const classes = [...services.store.schemas.values()].map(({ cls }) => cls);
  return strongest === undefined ? [] : rightsOf(classes, strongest);
};

const assertSuperuser = (caller: Caller): void => {
  if (caller.role === '_local_root_') return;
  throw new Fault('USER_IS_NOT_LOCAL_SUPERUSER', [`Failed to change password for user ${caller.user}`]);
};

export default implement(
  session,
  {},
  {
    login_with_password: {
      work: async (working, { uname, pwd, originator }) => {
        if (isAtTheMachine(working.caller, uname)) return working.services.localSessions.open(uname);
        const { coordinator } = working.services.availability();
        if (coordinator !== undefined) throw new Fault('HOST_IS_SLAVE', [coordinator]);
        return login(working, uname, pwd, originator);
      },
    },
    slave_local_login_with_password: {
      work: async (working, { uname, pwd }) =>
        isAtTheMachine(working.caller, uname)
          ? working.services.localSessions.open(uname)
          : loginHere(working, uname, pwd),
    },
    slave_login: { read: (_, { host }) => refuseSecret(host) },
    slave_local_login: { read: () => refuseSecret('root') },
    logout: { decide: end },
    local_logout: { read: endHere },
    change_password: {
      work: async (working, { old_pwd, new_pwd }) => {
        const { services, caller } = working;
        assertSuperuser(caller);
        // A session that somebody left open, or stole, is no proof of who sits there.
        await assertKnown(working, caller.user, old_pwd, caller.originator);
        await services.credentials.setPassword(caller.user, new_pwd);
        await working.commit((tx) => endSessions(tx, caller.user, caller.session));
        services.localSessions.endOf(caller.user, caller.session);
        await services.membership?.shareCredentials();
      },
    },
    get_record: { read: (reading: Reading) => ({ ...own(reading), rbac_permissions: permissions(reading) }) },
    get_rbac_permissions: { read: permissions },
    get_all_subject_identifiers: {
      read: ({ view }: Reading) =>
        subjectsOf([...view.all('session')].flatMap(([, row]) => identifiersOf(view, row))),
    },
    logout_subject_identifier: {
      decide: ({ tx, caller }, { subject_identifier }) => {
        if (subject_identifier === '') return;
        const ended: Ref<'session'>[] = [];
        for (const [ref, row] of tx.all('session')) {
          const isTheirs = identifiersOf(tx, row).includes(subject_identifier);
          if (isTheirs && ref !== caller.session) ended.push(ref);
        }
        for (const ref of ended) tx.delete('session', ref);
      },
    },
  },
);
