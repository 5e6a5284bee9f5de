// Goal: the right to every message, and to every guarded key of a map, is asked of every role: nobody gets in who may not.
// Method: a host behind the real HTTP server; a user of each role and root send every message of the reference in both
// languages, with arguments that name nothing. Who may what is the reference's, and not read off the declarations.
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
import { type Served, served } from './served.ts';

/** What those who may send are not asked to, as it would end their walk or wait. */
const spared = new Set(['session.logout', 'event.next', 'session.change_password']);

let host: Served;
const sessions = new Map<User, string>();

beforeAll(async () => {
  host = await served();
  for (const role of roles) sessions.set(role, await host.sessionWithRole(role));
  sessions.set('root', await host.session());
});
afterAll(() => host.close());

/** Every step by every user, half of them in each language. */
const walk = async (steps: readonly Step[]): Promise<readonly string[]> => {
  const found: string[] = [];
  for (const [i, step] of steps.entries()) {
    for (const [j, user] of users.entries()) {
      const { method, args, needs } = step;
      if (spared.has(method) && lackedBy(user, needs) === undefined) continue;
      const language = (i + j) % 2 === 0 ? 'xml' : 'json';
      const reply = await host[language](method, sessions.get(user) as string, ...args);
      const complaint = complaintAbout(user, step, 'error' in reply ? reply.error : []);
      if (complaint !== undefined) found.push(`${user} ${method} in ${language}: ${complaint}`);
    }
  }
  return found;
};

test('every message, by everybody', async () => {
  expect(messageSteps.length).toBeGreaterThan(1_900);
  expect(await walk(messageSteps)).toEqual([]);
}, 240_000);

test('every guarded key of a map, however it is set', async () => {
  expect(keySteps.length).toBeGreaterThan(40);
  expect(await walk(keySteps)).toEqual([]);
}, 120_000);
