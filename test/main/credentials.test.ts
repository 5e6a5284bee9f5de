// Goal: only who knows the password logs in, the file gives it away to nobody, and floods are bounded.
// Method: the real store of local users on a temporary folder of the real disk.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import {
  CredentialsUnusable,
  fileCredentials,
  hashesMax,
  type OpenedCredentials,
  passwordBytesMax,
} from '../../src/main/credentials.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xenact-credentials-'));
  file = join(folder, 'credentials.json');
});
afterEach(() => rm(folder, { recursive: true }));

const opened = (rootPassword?: string): Promise<OpenedCredentials> =>
  fileCredentials({ disk: nodeDisk, random: nodeRandom, file, rootPassword });

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

  test('a flood of logins is refused beyond what may wait, and those that wait are answered', async () => {
    const [waitingMax, over] = [6, 5];
    const credentials = await fileCredentials({
      disk: nodeDisk,
      random: nodeRandom,
      file,
      rootPassword: 'pw',
      waitingMax,
    });
    const answers = await Promise.allSettled(
      Array.from({ length: hashesMax + waitingMax + over }, () => credentials.verify('root', 'wrong')),
    );
    const refused = answers.filter((one) => one.status === 'rejected');
    expect(refused.map((one) => one.reason.code)).toEqual(Array(over).fill('TOO_MANY_PENDING_TASKS'));
    expect(await credentials.verify('root', 'pw')).toBe(true);
  });

  test('a file that is damaged stops the start with what to do about it', async () => {
    await writeFile(file, '{"users": {"root": {}}}');
    await expect(opened()).rejects.toThrow(CredentialsUnusable);
    await writeFile(file, '{"use');
    await expect(opened()).rejects.toThrow(/Restore it from a backup/);
  });
});
