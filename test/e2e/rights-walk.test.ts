// Goal: every right is asked at every door, of real users, on every host: nobody gets in who may not, nobody is kept
//   out who may.
// Method: a pool of two processes whose member serves clients. A user of each role, and root, log in on both and send
//   every message of the reference in both languages, with guarded keys, and ask by HTTP, CONNECT and WebSocket for
//   everything the reference has there. Who may what is the reference's.
import { Agent } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  complaintAbout,
  keySteps,
  lackedBy,
  messageSteps,
  roles,
  type Step,
  type User,
  users,
} from '../rights.ts';
import { logIn } from './client.ts';
import { errorOfCall } from './doors.ts';
import { type Lab, lab, type PoolHost } from './hosts.ts';
import { rowsOf, text } from './lab.ts';
import { addUser, complaints, credentials, logInAll, nameOf, secretOf, spared, waysIn } from './ways.ts';
import { password } from './xenact.ts';

let pool: Lab;
/** Of each host, those who logged in there. */
let sessions: readonly ReadonlyMap<User, string>[];
const agent = new Agent({ keepAlive: true, maxSockets: 8 });

beforeAll(async () => {
  pool = await lab();
  const [first, second] = [await pool.add(), await pool.add()];
  await first.up();
  await second.up('--edge-members', 'serve', '--join', first.https, '--join-password', password);
  for (const role of roles) await addUser(first, role);
  sessions = await Promise.all(pool.hosts.map(({ http }) => logInAll(http, users)));
}, 240_000);
afterAll(async () => {
  agent.destroy();
  await pool?.close();
});

/** Every step by every user on both hosts, each time in the other language. */
const walk = (steps: readonly Step[]): Promise<readonly string[]> => {
  const turns = steps.flatMap((step, i) =>
    users.flatMap((user, j) =>
      pool.hosts.map((host, k) => ({ step, user, host, session: sessions[k]?.get(user), turn: i + j + k })),
    ),
  );
  return complaints(turns, async ({ step, user, host, session, turn }) => {
    const { method, args, needs } = step;
    if (spared.has(method) && lackedBy(user, needs) === undefined) return undefined;
    const language = turn % 2 === 0 ? 'xml' : 'json';
    const by = { http: host.http, language, agent } as const;
    const answer = await errorOfCall(by, method, [session as string, ...args]).catch((error: Error) => [
      'no answer',
      error.message,
    ]);
    const complaint = complaintAbout(user, step, answer);
    return complaint && `${user} ${method} at ${host.address} in ${language}: ${complaint}`;
  });
};

test('every message, by everybody, on both hosts and in both languages', async () => {
  expect(messageSteps.length).toBeGreaterThan(1_900);
  expect(messageSteps.map(({ method }) => method)).toEqual(expect.arrayContaining([...spared.keys()]));
  expect(await walk(messageSteps)).toEqual([]);
}, 240_000);

test('every guarded key of a map, however it is set, by everybody on both hosts', async () => {
  expect(keySteps.length).toBeGreaterThan(40);
  expect(await walk(keySteps)).toEqual([]);
}, 120_000);

/** Every way in by every user on both hosts, and by nobody. */
const walkWays = async (): Promise<readonly string[]> => {
  const vms = await rowsOf(await logIn((pool.hosts[0] as PoolHost).http), 'VM');
  const domain = [...vms.values()].find((row) => row.get('is_control_domain') === true);
  const ways = waysIn(text(domain as NonNullable<typeof domain>, 'uuid'));
  const turns = ways.flatMap((way, i) =>
    pool.hosts.flatMap((host, k) =>
      ([...users, undefined] as const).map((user, j) => ({
        ...{ way, host, user },
        ...(user === undefined
          ? { query: '', headers: {} }
          : credentials(user, sessions[k]?.get(user) as string, i + j)),
      })),
    ),
  );
  return complaints(turns, async ({ way: { door, path, needs, unbuilt }, host, user, query, headers }) => {
    const { status, text: said } = await door(new URL(`${path}${query}`, host.http), headers).catch(
      (error: Error) => ({ status: 0, text: error.message }),
    );
    const lacked = user && lackedBy(user, needs);
    const isRefused =
      user === undefined
        ? status === 401
        : lacked !== undefined && status === 403 && said.includes(`${lacked.permission},`);
    const isServed = user !== undefined && lacked === undefined && ![0, 401, 403, 405, 501].includes(status);
    const isRight = isRefused || (unbuilt ? [404, 405, 501].includes(status) : isServed);
    return isRight
      ? undefined
      : `${user ?? 'nobody'} ${path}${query} at ${host.address}: ${status} ${said.slice(0, 200)}`;
  });
};

test('everything beside calls: HTTP actions, consoles of guests and of hosts, by everybody on both hosts', async () => {
  expect(await walkWays()).toEqual([]);
}, 120_000);

test('a user who lost his role gets in nowhere, with the session that he has or with a new one', async () => {
  const [first] = pool.hosts as [PoolHost];
  const root = await logIn(first.http);
  const [reader = ''] =
    [...(await rowsOf(root, 'subject'))].find(
      ([, row]) => row.get('subject_identifier') === nameOf('read-only'),
    ) ?? [];
  const [role = ''] = (await root.call('subject.get_roles', reader)) as string[];
  await root.call('subject.remove_from_roles', reader, role);
  for (const [k, { http }] of pool.hosts.entries()) {
    const by = { http, language: 'json', agent } as const;
    const session = sessions[k]?.get('read-only') as string;
    expect(await errorOfCall(by, 'VM.get_all', [session])).toContain('SESSION_INVALID');
    const login = [nameOf('read-only'), secretOf('read-only'), '', ''];
    expect(await errorOfCall(by, 'session.login_with_password', login)).toContain('RBAC_PERMISSION_DENIED');
  }
});
