// Goal: who runs a host decides who else may log in and as what, while it runs and while it is stopped.
// Method: the built program; `xenact user` on its data folder, logins over HTTP with what that said.
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { call, Failure, type Session } from './client.ts';
import { clean, newDataFolder, password, program, start, type Xenact } from './xenact.ts';

let data: string;
let xenact: Xenact;

beforeAll(async () => {
  data = await newDataFolder();
  xenact = await start(data, ['--hypervisor', 'sim']);
});
afterAll(() => clean(data));

const user = (args: string, given: { readonly input?: string; readonly env?: object } = {}) => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [program, 'user', ...args.split(' '), '--data', data],
    { input: given.input ?? '', env: { ...process.env, ...given.env }, encoding: 'utf8' },
  );
  return { status, said: stdout + stderr };
};

const logIn = async (name: string, secret: string): Promise<Session> => {
  const ref = (await call(xenact.http, 'session.login_with_password', [name, secret])) as string;
  return { ref, call: (method, ...params) => call(xenact.http, method, [ref, ...params]) };
};
const outcome = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'done',
    (error: unknown) => (error instanceof Failure ? error.code : String(error)),
  );

test('a new user logs in with his role, which changes at once, and ends with him', async () => {
  const added = user('add ann --role vm-operator');
  const [, made = ''] = /^password of ann: (\S+) /.exec(added.said) ?? [];
  const ann = await logIn('ann', made);
  const [pool = ''] = (await ann.call('pool.get_all')) as string[];
  const rename = (): Promise<string> => outcome(ann.call('pool.set_name_label', pool, 'renamed'));
  expect(await rename()).toBe('RBAC_PERMISSION_DENIED');
  expect(user('role ann --role pool-admin').status).toBe(0);
  expect(await rename()).toBe('done');
  expect(user('list').said).toMatch(/^root +everything\nann +pool-admin\n$/);
  expect(user('remove ann').status).toBe(0);
  expect(await rename()).toBe('SESSION_INVALID');
  expect(await outcome(logIn('ann', made))).toBe('SESSION_AUTHENTICATION_FAILED');
});

test('a password comes from the environment or the standard input, and a new one ends the sessions of the old', async () => {
  expect(user('add bob --role read-only', { env: { XENACT_USER_PASSWORD: 'first' } }).said).not.toContain(
    'first',
  );
  const bob = await logIn('bob', 'first');
  expect(user('password bob --password -', { input: 'second\nmore\n' }).status).toBe(0);
  expect(await outcome(bob.call('pool.get_all'))).toBe('SESSION_INVALID');
  expect(await outcome(logIn('bob', 'second'))).toBe('done');
  await expect(outcome(logIn('root', password))).resolves.toBe('done');
});

test('what makes no sense is refused with what does', () => {
  for (const [args, why] of [
    ['add bob --role read-only', 'There is such a user'],
    ['add carl --role king', 'The roles are read-only, vm-operator'],
    ['add ../x --role read-only', 'letters, digits'],
    ['role nobody --role read-only', 'There is no such user'],
    ['remove root', 'The superuser stays'],
    ['add carl', 'needs --role'],
    ['forget bob', 'list, add, role, password, remove'],
  ] as const) {
    const { status, said } = user(args);
    expect(said).toContain(why);
    expect(status).not.toBe(0);
  }
});

test('on a host that is stopped it holds from the next start on', async () => {
  await xenact.end('SIGTERM');
  for (const args of ['add dora --role vm-admin --password new', 'remove bob'])
    expect(user(args).status).toBe(0);
  expect(user('list').said).toMatch(/^root +everything\ndora +vm-admin\n$/);
  xenact = await start(data, ['--hypervisor', 'sim']);
  const dora = await logIn('dora', 'new');
  expect(await outcome(dora.call('VM.set_name_label', 'OpaqueRef:none', ''))).toBe('HANDLE_INVALID');
  expect(await outcome(logIn('bob', 'second'))).toBe('SESSION_AUTHENTICATION_FAILED');
  const root = await logIn('root', password);
  expect([...((await root.call('subject.get_all_records')) as Map<string, unknown>).keys()]).toHaveLength(1);
  expect(user('list').said).toMatch(/^root +everything\ndora +vm-admin\n$/);
});
