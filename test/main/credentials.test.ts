// Goal: only who knows the password logs in, the file gives it away to nobody, and floods are bounded.
// Method: the real store of local users on a temporary folder of the real disk.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import {
  type CredentialsOptions,
  fileCredentials,
  hashesMax,
  type OpenedCredentials,
  passwordBytesMax,
} from '../../src/main/credentials.ts';
import { provenMsMax } from '../../src/main/remembered-passwords.ts';
import { UnusableError } from '../../src/std/unusable.ts';
import { manualClock } from '../manual-clock.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-credentials-'));
  file = join(folder, 'credentials.json');
});
afterEach(() => rm(folder, { recursive: true }));

const opened = (rootPassword?: string, more: Partial<CredentialsOptions> = {}): Promise<OpenedCredentials> =>
  fileCredentials({ disk: nodeDisk, clock: nodeClock, random: nodeRandom, file, rootPassword, ...more });

describe('Local users', () => {
  test('root gets a password at the first start, which is told once and holds from then on', async () => {
    const first = await opened();
    const password = first.generatedPassword ?? '';
    expect(password.length).toBeGreaterThanOrEqual(20);
    const second = await opened();
    expect(second.generatedPassword).toBeUndefined();
    expect(await second.verify('root', password)).toBe(true);
    expect(await second.verify('root', `${password}x`)).toBe(false);
    expect(await second.verify('nobody', password)).toBe(false);
  });

  test('a password given at a later start takes the place of the one before', async () => {
    await opened('first');
    const later = await opened('second');
    expect(later.generatedPassword).toBeUndefined();
    expect(await later.verify('root', 'second')).toBe(true);
    expect(await later.verify('root', 'first')).toBe(false);
  });

  test('the file is for its owner alone and holds no password', async () => {
    const credentials = await opened('a secret of ours');
    await credentials.setPassword('root', 'another secret');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, 'utf8')).not.toMatch(/secret/);
    expect(await (await opened()).verify('root', 'another secret')).toBe(true);
  });

  test('users whose names mean something to JavaScript are users like any other', async () => {
    const credentials = await opened('pw');
    expect(await credentials.verify('__proto__', 'pw')).toBe(false);
    expect(await credentials.verify('constructor', 'pw')).toBe(false);
    await credentials.setPassword('constructor', 'mine');
    expect(await (await opened()).verify('constructor', 'mine')).toBe(true);
  });

  test('an empty or an endless new password is refused with what is wrong with it', async () => {
    const credentials = await opened('pw');
    await expect(credentials.setPassword('root', '')).rejects.toMatchObject({
      code: 'CHANGE_PASSWORD_REJECTED',
    });
    await expect(credentials.setPassword('root', 'x'.repeat(passwordBytesMax + 1))).rejects.toMatchObject({
      code: 'CHANGE_PASSWORD_REJECTED',
    });
    expect(await credentials.verify('root', 'x'.repeat(passwordBytesMax + 1))).toBe(false);
    expect(await credentials.verify('root', 'pw')).toBe(true);
  });

  test('a flood of guesses from one source is refused beyond what may wait, and those that wait are answered', async () => {
    const [waitingOfOneMax, over] = [6, 5];
    await opened('pw');
    // Of root nothing is remembered here, so every check takes a hash.
    const credentials = await opened(undefined, { waitingOfOneMax });
    const answers = await Promise.allSettled(
      Array.from({ length: hashesMax + waitingOfOneMax + over }, (_, i) =>
        credentials.verify('root', `wrong ${i}`, '192.0.2.1'),
      ),
    );
    const refused = answers.filter((one) => one.status === 'rejected');
    expect(refused.map((one) => one.reason.code)).toEqual(Array(over).fill('TOO_MANY_PENDING_TASKS'));
    expect(await credentials.verify('root', 'pw')).toBe(true);
  });

  test('while one source guesses, the right password from another is not behind all of its guesses', async () => {
    await opened('pw');
    const credentials = await opened();
    const order: string[] = [];
    const guesses = Array.from({ length: 20 }, (_, i) =>
      credentials.verify('root', `wrong ${i}`, '192.0.2.1').then(() => order.push('guess')),
    );
    const honest = credentials.verify('root', 'pw', '192.0.2.2').then((right) => order.push(String(right)));
    await Promise.all([...guesses, honest]);
    // It is hashed after those that run; how many end before it does is for the system to say.
    expect(order.indexOf('true')).toBeLessThan(10);
  });

  test('once the password was right, neither it nor guesses take a hash, whoever guesses how often', async () => {
    const credentials = await opened('pw', { waitingMax: 0, waitingOfOneMax: 0 });
    const guesses = Array.from({ length: 1_000 }, (_, i) =>
      credentials.verify('root', `guess ${i}`, '192.0.2.1'),
    );
    expect(await credentials.verify('root', 'pw', '192.0.2.1')).toBe(true);
    expect(new Set(await Promise.all(guesses))).toEqual(new Set([false]));
  });

  test('what was right is asked of the hash again after a while, and then of nearly no guess', async () => {
    const clock = manualClock();
    const credentials = await opened('pw', { clock, waitingMax: 0, waitingOfOneMax: 0 });
    await clock.advance(provenMsMax + 1);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 1_000 }, (_, i) => credentials.verify('root', `guess ${i}`, '192.0.2.1')),
    );
    const hashed = outcomes.filter(({ status }) => status === 'rejected').length;
    // One in 256 is like the right one in its first byte.
    expect(hashed).toBeLessThan(40);
    expect(await credentials.verify('root', 'pw', '192.0.2.1')).toBe(true);
  });

  test('the same wrong password is hashed once, however often it is given', async () => {
    await opened('pw');
    const credentials = await opened(undefined, { waitingMax: 0, waitingOfOneMax: 0 });
    const guess = () => credentials.verify('root', 'guess', '192.0.2.1');
    const guesses = await Promise.all(Array.from({ length: 100 }, guess));
    expect(new Set(guesses)).toEqual(new Set([false]));
    expect(await guess()).toBe(false);
  });

  test('a password that was changed here or elsewhere is forgotten at once', async () => {
    const credentials = await opened('before');
    expect(await credentials.verify('root', 'after')).toBe(false);
    await credentials.setPassword('root', 'after');
    expect(await credentials.verify('root', 'before')).toBe(false);
    expect(await credentials.verify('root', 'after')).toBe(true);
    const elsewhere = await fileCredentials({
      ...{ disk: nodeDisk, clock: nodeClock, random: nodeRandom },
      ...{ file: `${file}.other`, rootPassword: 'theirs' },
    });
    await credentials.adopt(elsewhere.exported());
    expect(await credentials.verify('root', 'after')).toBe(false);
    expect(await credentials.verify('root', 'theirs')).toBe(true);
  });

  test('a file that is damaged stops the start with what to do about it', async () => {
    await writeFile(file, '{"users": {"root": {}}}');
    await expect(opened()).rejects.toThrow(UnusableError);
    await writeFile(file, '{"use');
    await expect(opened()).rejects.toThrow(/Restore it from a backup/);
  });
});
