import type { Disk } from '../drivers/disk.ts';
import type { Audit } from '../edge/audit.ts';
import { nullRef, type Ref } from '../model/types.ts';
import type { Caller } from '../objects/implement.ts';
import type { Services } from '../objects/services.ts';
import type { StateFile } from '../pool/state.ts';
import {
  assertUserName,
  assertUserRole,
  dismiss,
  endSessions,
  giveRole,
  rolesOfSubject,
  subjectOfUser,
  superuser,
} from '../rules/local-users.ts';
import { asFault, Fault } from '../std/fault.ts';
import { jsonOf, member, oneOf, required, stringOf, textsOf } from '../std/reader.ts';
import type { OpenedCredentials } from './credentials.ts';

/** What can be done about the users of a pool. */
export type UserCommand =
  | { readonly act: 'list' }
  | { readonly act: 'add'; readonly name: string; readonly role: string; readonly password: string }
  | { readonly act: 'role'; readonly name: string; readonly role: string }
  | { readonly act: 'password'; readonly name: string; readonly password: string }
  | { readonly act: 'remove'; readonly name: string };

export interface ListedUser {
  readonly name: string;
  /** Undefined while nobody can look it up. */
  readonly role: string | undefined;
}

/** Where users and their roles are kept. */
export interface Users {
  list(): readonly ListedUser[];
  /** Gives a user a role, for which he needs no password yet; `undefined` takes his role and his sessions. */
  setRole(name: string, role: string | undefined): Promise<void>;
  /** The sessions that he opened with an old password end. */
  setPassword(name: string, password: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** Answers the users after it. Throws faults that say what to do. */
export const doUserCommand = async (users: Users, command: UserCommand): Promise<readonly ListedUser[]> => {
  if (command.act === 'list') return users.list();
  const { act, name } = command;
  assertUserName(name);
  const isKnown = users.list().some((one) => one.name === name);
  if (act === 'add' && isKnown) throw unfit(name, 'There is such a user; change him with role or password');
  if (act !== 'add' && !isKnown)
    throw unfit(name, 'There is no such user; xenact user list tells who there is');
  if (name === superuser && (act === 'remove' || act === 'role')) {
    throw unfit(name, 'The superuser stays, and needs no role');
  }
  if (act === 'add' || act === 'role') assertUserRole(command.role);
  if (act === 'remove') {
    await users.remove(name);
    await users.setRole(name, undefined);
  }
  // A user without a password cannot come in, so what fails after this leaves no way in behind.
  if (act === 'add' || act === 'role') await users.setRole(name, command.role);
  if (act === 'add' || act === 'password') await users.setPassword(name, command.password);
  return users.list();
};

const unfit = (name: string, why: string): Fault => new Fault('INVALID_VALUE', [`name ${name}`, why]);

/** Users of a pool that runs. Only its coordinator changes them. */
export const runningUsers = (services: Services, credentials: OpenedCredentials): Users => {
  const { store, localSessions, membership, availability } = services;
  const assertLeads = (): void => {
    const { member, coordinator } = availability();
    if (member === true) throw new Fault('HOST_IS_SLAVE', [coordinator ?? 'the coordinator of this pool']);
  };
  const change = async (user: string, make: () => Promise<void>): Promise<void> => {
    assertLeads();
    await make();
    await store.commit((tx) => endSessions(tx, user));
    localSessions.endOf(user);
    await membership?.shareCredentials();
  };
  return {
    list: () =>
      credentials.names().map((name) => {
        if (name === superuser) return { name, role: 'everything' };
        const subject = subjectOfUser(store.committed, name);
        const roles = subject === undefined ? [] : rolesOfSubject(store.committed, subject);
        return { name, role: roles.at(-1) ?? 'none' };
      }),
    setRole: async (name, role) => {
      assertLeads();
      await store.commit((tx) =>
        role === undefined ? dismiss(tx, name) : giveRole(tx, services, name, role),
      );
    },
    setPassword: (name, password) => change(name, () => credentials.setPassword(name, password)),
    remove: (name) => change(name, () => credentials.remove(name)),
  };
};

const laterBytesMax = 1 << 20;

/** Roles given while the host was stopped: its rows are not to be touched then. */
const readLater = async (disk: Disk, file: string): Promise<ReadonlyMap<string, string>> => {
  if (!(await disk.exists(file))) return new Map();
  const later = jsonOf(await disk.readText(file, laterBytesMax), file);
  return textsOf(member(later, 'roles'), `roles in ${file}`);
};

/** Users of a host that is stopped. Their roles take effect with its next start. */
export const stoppedUsers = async (
  disk: Disk,
  file: string,
  credentials: OpenedCredentials,
  state: StateFile,
): Promise<Users> => {
  if (state.current?.role === 'member') {
    throw new Fault('HOST_IS_SLAVE', [
      'This host is a member of a pool: its users are those of the coordinator, where they are changed ' +
        'while it runs',
    ]);
  }
  const later = new Map(await readLater(disk, file));
  return {
    list: () =>
      credentials
        .names()
        .map((name) => ({ name, role: name === superuser ? 'everything' : later.get(name) })),
    setRole: async (name, role) => {
      later.set(name, role ?? '');
      await disk.replaceText(file, `${JSON.stringify({ roles: Object.fromEntries(later) })}\n`, 0o600);
    },
    setPassword: credentials.setPassword,
    remove: credentials.remove,
  };
};

/** Brings what was noted while the host was stopped into the rows, when it leads. */
export const takeLaterRoles = async (disk: Disk, file: string, services: Services): Promise<void> => {
  const later = await readLater(disk, file);
  if (later.size === 0) return;
  await services.store.commit((tx) => {
    for (const [name, role] of later) {
      if (role === '') dismiss(tx, name);
      else giveRole(tx, services, name, role);
    }
  });
  await disk.remove(file);
};

/** A command that came by the socket. Throws `DecodeFailure`. */
const commandOf = (body: string): UserCommand => {
  const said = jsonOf(body, 'the command');
  const act = oneOf(member(said, 'act'), ['list', 'add', 'role', 'password', 'remove'], 'act');
  const text = (name: string): string => required(said, name, stringOf);
  switch (act) {
    case 'list':
      return { act };
    case 'add':
      return { act, name: text('name'), role: text('role'), password: text('password') };
    case 'role':
      return { act, name: text('name'), role: text('role') };
    case 'password':
      return { act, name: text('name'), password: text('password') };
    case 'remove':
      return { act, name: text('name') };
  }
};

/** What the program that runs answers `xenact user`: JSON with the users, or with why it did nothing. */
export const userRequests =
  (users: Users, audit: Audit) =>
  async (body: string): Promise<string> => {
    const command = commandOf(body);
    const { act, ...about } = command;
    const args = { ...about, ...('password' in about && { password: '(hidden)' }) };
    const note = (outcome: string): void => {
      if (act === 'list') return;
      audit.add({ caller: atTheMachine('xenact user'), from: '', method: `user.${act}`, args, outcome });
    };
    try {
      const listed = await doUserCommand(users, command);
      note('success');
      return JSON.stringify({ users: listed });
    } catch (error) {
      const fault = asFault(error);
      note(fault.code);
      return JSON.stringify({ error: fault.message });
    }
  };

/** Whoever may use the data folder, by a command of this program. */
export const atTheMachine = (originator: string): Caller => ({
  session: nullRef as Ref<'session'>,
  user: superuser,
  role: '_local_root_',
  originator,
});
