import { createHmac, scrypt, timingSafeEqual } from 'node:crypto';
import type { Disk } from '../drivers/disk.ts';
import type { Credentials } from '../objects/credentials.ts';
import type { Verifier } from '../pool/proof.ts';
import type { Clock, Random } from '../std/clock.ts';
import { Fault } from '../std/fault.ts';
import { inTurns } from '../std/in-turns.ts';
import { jsonIn, membersOf } from '../std/reader.ts';
import { sourceOf } from '../std/source.ts';
import { UnusableError } from '../std/unusable.ts';
import { type Attempt, attemptsOf, rememberedPasswords } from './remembered-passwords.ts';
import { turnstileOf } from './turnstile.ts';

export interface CredentialsOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** A JSON file; its folder must exist. */
  readonly file: string;
  /**
   * Becomes root's, also where root has another. Absent: root keeps its own, or gets a new one at the first
   * start.
   */
  readonly rootPassword?: string | undefined;
  readonly waitingMax?: number;
  readonly waitingOfOneMax?: number;
}

export interface OpenedCredentials extends Credentials {
  /** The password that was made up for root because it had none, to be shown once. */
  readonly generatedPassword: string | undefined;
  /** Names of those who have a password. */
  names(): readonly string[];
  /** Takes a user's password, and with it the way in. */
  remove(user: string): Promise<void>;
  /** All users with their hashes, for the other hosts of the pool. */
  exported(): string;
  /** How the password of a user is kept; of a user that there is not, something that no password meets. */
  verifier(user: string): Verifier;
  /** Takes them over from another host, in place of those here; answers who had another password here. */
  adopt(exported: string): Promise<readonly string[]>;
}

/** Longer ones are wrong, and are refused as new ones. In bytes of UTF-8. */
export const passwordBytesMax = 1_024;
export const userBytesMax = 256;
export const usersMax = 1_000;
/** Passwords checked at the same time; each takes 16 MiB and some tens of milliseconds of a processor. */
export const hashesMax = 2;
/**
 * Checks that wait for their turn, in all and of one source for one user. More are TOO_MANY_PENDING_TASKS.
 */
export const hashesWaitingMax = 512;
export const hashesWaitingOfOneMax = 64;

const fileBytesMax = 1 << 20;
const cost = { N: 16_384, r: 8, p: 1 } as const;
const saltBytes = 16;
const keyBytes = 32;
const generatedBytes = 15;

export const madeUpPassword = (random: Random): string =>
  Buffer.from(random.bytes(generatedBytes)).toString('base64url');

/** The figures are kept too, so that they can be raised later. */
type Kept = Verifier;

const hash = (
  password: string,
  salt: Uint8Array,
  { N, r, p }: Pick<Kept, 'N' | 'r' | 'p'>,
): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(password, salt, keyBytes, { N, r, p }, (error, key) => (error ? reject(error) : resolve(key)));
  });

const isKept = (value: unknown): value is Kept => {
  const { salt, key, N, r, p } = (value ?? {}) as Record<string, unknown>;
  return [salt, key].every((one) => typeof one === 'string') && [N, r, p].every(Number.isSafeInteger);
};

const parse = (text: string, file: string): Map<string, Kept> => {
  const unusable = (what: string): UnusableError =>
    new UnusableError(
      `${file} ${what}. Restore it from a backup, or remove it to start again with a new password for root.`,
    );
  const read = jsonIn(text);
  if (read === undefined) throw unusable('is not JSON');
  const { users } = membersOf(read);
  if (typeof users !== 'object' || users === null) throw unusable('holds no users');
  const entries = Object.entries(users);
  if (!entries.every(([, kept]) => isKept(kept))) throw unusable('holds a user without a usable password');
  return new Map(entries as [string, Kept][]);
};

/** Local users in one file that only this user can read. Passwords are kept as salted scrypt hashes. */
export const fileCredentials = async (options: CredentialsOptions): Promise<OpenedCredentials> => {
  const { disk, clock, random, file } = options;
  const turnstile = turnstileOf({
    runningMax: hashesMax,
    waitingMax: options.waitingMax ?? hashesWaitingMax,
    waitingOfOneMax: options.waitingOfOneMax ?? hashesWaitingOfOneMax,
  });
  const attemptOf = attemptsOf(random);
  const remembered = rememberedPasswords<Kept>(clock, usersMax);
  /** Checks under way: whoever gives the same password for the same user hears the same. */
  const underway = new Map<string, Promise<boolean>>();
  let users = (await disk.exists(file))
    ? parse(await disk.readText(file, fileBytesMax), file)
    : new Map<string, Kept>();
  const inTurn = inTurns();

  const replace = (make: () => Map<string, Kept>): Promise<void> =>
    inTurn(async () => {
      const next = make();
      if (next.size > usersMax)
        throw new Fault('CHANGE_PASSWORD_REJECTED', [`No more than ${usersMax} users`]);
      await disk.replaceText(file, textOf(next), 0o600);
      users = next;
    });
  const keep = (user: string, kept: Kept): Promise<void> => replace(() => new Map(users).set(user, kept));

  const setPassword = async (user: string, password: string): Promise<void> => {
    const bytes = Buffer.byteLength(password);
    if (bytes === 0) throw new Fault('CHANGE_PASSWORD_REJECTED', ['The new password is empty']);
    if (bytes > passwordBytesMax) {
      throw new Fault('CHANGE_PASSWORD_REJECTED', [
        `The new password is longer than ${passwordBytesMax} bytes`,
      ]);
    }
    if (Buffer.byteLength(user) > userBytesMax) {
      throw new Fault('CHANGE_PASSWORD_REJECTED', [`The user name is longer than ${userBytesMax} bytes`]);
    }
    const salt = random.bytes(saltBytes);
    // Whoever sets a password has a session, so this waits for no guesses.
    const key = await hash(password, salt, cost);
    const kept = { salt: base64(salt), key: base64(key), ...cost };
    await keep(user, kept);
    remembered.learn(attemptOf(user, password), kept, true);
  };

  /** What an unknown user's password is checked against, so that it takes as long as a known one's. */
  const decoy: Kept = { salt: base64(random.bytes(saltBytes)), key: base64(random.bytes(keyBytes)), ...cost };

  const check = async (attempt: Attempt, password: string, source: string): Promise<boolean> => {
    const { user } = attempt;
    const known = users.get(user);
    const kept = known ?? decoy;
    const key = await turnstile.pass({ source, user }, () =>
      hash(password, Buffer.from(kept.salt, 'base64'), kept),
    );
    const right = Buffer.from(kept.key, 'base64');
    const isRight = right.length === key.length && timingSafeEqual(right, key) && known !== undefined;
    remembered.learn(attempt, kept, isRight);
    return isRight;
  };

  const verify = async (user: string, password: string, address = ''): Promise<boolean> => {
    if (Buffer.byteLength(password) > passwordBytesMax || Buffer.byteLength(user) > userBytesMax)
      return false;
    const attempt = attemptOf(user, password);
    const recalled = remembered.recall(attempt, users.get(user) ?? decoy);
    if (recalled !== undefined) return recalled;
    const source = sourceOf(address);
    const name = `${source} ${attempt.digest.toString('base64')}`;
    const begun = underway.get(name) ?? check(attempt, password, source).finally(() => underway.delete(name));
    underway.set(name, begun);
    return begun;
  };

  const generatedPassword =
    options.rootPassword === undefined && !users.has('root') ? madeUpPassword(random) : undefined;
  const given = options.rootPassword ?? generatedPassword;
  if (given !== undefined && !(await verify('root', given))) await setPassword('root', given);
  return {
    verify,
    setPassword,
    generatedPassword,
    names: () => [...users.keys()],
    remove: (user) => replace(() => new Map([...users].filter(([name]) => name !== user))),
    exported: () => textOf(users),
    verifier: (user) => users.get(user) ?? { ...decoy, salt: decoySalt(decoy, user) },
    adopt: async (exported) => {
      const adopted = parse(exported, 'What the coordinator sent');
      const before = users;
      await replace(() => adopted);
      return [...before].filter(([user, { key }]) => adopted.get(user)?.key !== key).map(([user]) => user);
    },
  };
};

const textOf = (users: ReadonlyMap<string, Kept>): string =>
  `${JSON.stringify({ users: Object.fromEntries(users) }, null, 2)}\n`;

/** The same each time that it is asked for, as that of a user is. */
const decoySalt = ({ key }: Kept, user: string): string =>
  createHmac('sha256', key).update(user).digest().subarray(0, saltBytes).toString('base64');

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
