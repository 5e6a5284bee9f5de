// Goal: a member that sends clients on does nothing for anybody, whoever asks, and tells nothing but where to go.
// Method: a pool of two processes whose member redirects. A user of each role, and root, ask it, with the sessions that
//   they have, for every message, HTTP action, console and stream of the reference; then the rows are as they were.
import { Agent, get } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { pathsFor } from '../../src/main/paths.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { xe } from '../cli/client.ts';
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
import { logIn, type Session } from './client.ts';
import { errorOfCall } from './doors.ts';
import { type Lab, lab, type PoolHost } from './hosts.ts';
import { newDisk, rowsOf, text } from './lab.ts';
import { addUser, complaints, credentials, logInAll, nameOf, secretOf, spared, waysIn } from './ways.ts';
import { password } from './xenact.ts';

let pool: Lab;
let first: PoolHost;
let member: PoolHost;
let root: Session;
let sessions: ReadonlyMap<User, string>;
const agent = new Agent({ keepAlive: true, maxSockets: 8 });

beforeAll(async () => {
  pool = await lab();
  first = await pool.add();
  member = await pool.add();
  await first.up();
  await member.up('--join', first.https, '--join-password', password);
  for (const role of roles) await addUser(first, role);
  sessions = await logInAll(first.http, users);
  root = await logIn(first.http);
}, 240_000);
afterAll(async () => {
  agent.destroy();
  await pool?.close();
});

const catalog = catalogOf(classes, []);
const isOwn = ({ method }: Step): boolean => catalog.find(method)?.declared?.onMember === true;

/** All rows of the pool as the coordinator has them, but for what goes on whatever is asked. */
const rows = async (): Promise<ReadonlyMap<string, unknown>> => {
  const moving = new Set([
    'session',
    'task',
    'host_metrics',
    'VM_metrics',
    'VM_guest_metrics',
    'event',
    'secret',
  ]);
  const names = classes.filter(({ name, inDatabase }) => inDatabase !== false && !moving.has(name));
  return new Map(
    await Promise.all(
      names.map(async ({ name }) => [name, await root.call(`${name}.get_all`).catch(() => [])] as const),
    ),
  );
};

/** Every step by every user, each time in the other language. */
const walk = (steps: readonly Step[]): Promise<readonly string[]> => {
  const turns = steps.flatMap((step, i) => users.map((user, j) => ({ step, user, turn: i + j })));
  return complaints(turns, async ({ step, user, turn }) => {
    const { method, args, needs } = step;
    if (isOwn(step) && spared.has(method) && lackedBy(user, needs) === undefined) return undefined;
    const language = turn % 2 === 0 ? 'xml' : 'json';
    const by = { http: member.http, language, agent } as const;
    const session = sessions.get(user) as string;
    const answer = await errorOfCall(by, method, [session, ...args]).catch((error: Error) => [
      'none',
      error.message,
    ]);
    const sentOn = answer[0] === 'HOST_IS_SLAVE' && answer[1] === first.address && answer.length === 2;
    const complaint = isOwn(step)
      ? complaintAbout(user, step, answer)
      : sentOn
        ? undefined
        : answer.join(' ');
    return complaint && `${user} ${method} in ${language}: ${complaint.slice(0, 200)}`;
  });
};

test('every message is answered by where the coordinator is, to everybody, and nothing is done', async () => {
  const before = await rows();
  expect(await walk(messageSteps)).toEqual([]);
  expect(await walk(keySteps)).toEqual([]);
  expect(await rows()).toEqual(before);
}, 240_000);

test('logins are sent on, right or wrong, and a session that is none is told nothing', async () => {
  const by = { http: member.http, language: 'json', agent } as const;
  for (const user of users) {
    for (const secret of [secretOf(user), 'wrong']) {
      const login = [nameOf(user), secret, '1.0', 'walk'];
      const answer = await errorOfCall(by, 'session.login_with_password', login);
      expect(answer).toEqual(['HOST_IS_SLAVE', first.address]);
    }
  }
  const answer = await errorOfCall(by, 'VM.get_all', ['OpaqueRef:none']);
  expect(answer).toEqual(['SESSION_INVALID', 'OpaqueRef:none']);
});

test('by HTTP, rights are asked of sessions, and names and passwords are sent on', async () => {
  const vms = await rowsOf(root, 'VM');
  const domain = [...vms.values()].find((row) => row.get('is_control_domain') === true);
  const ways = waysIn(text(domain as NonNullable<typeof domain>, 'uuid'));
  const nobody = { user: undefined, turn: 0, query: '', headers: {} };
  const everybody = users.flatMap((user) =>
    [0, 1].map((turn) => ({ user, turn, ...credentials(user, sessions.get(user) as string, turn) })),
  );
  const turns = ways.flatMap((way) => [nobody, ...everybody].map((by) => ({ way, ...by })));
  const found = await complaints(
    turns,
    async ({ way: { door, path, needs, unbuilt }, user, turn, query, headers }) => {
      const { status, text: said } = await door(new URL(`${path}${query}`, member.http), headers).catch(
        (error: Error) => ({ status: 0, text: error.message }),
      );
      const lacked = user && lackedBy(user, needs);
      const expected = (): boolean => {
        if (unbuilt && [404, 405, 501].includes(status)) return true;
        if (user === undefined) return status === 401;
        if (turn === 1) return status === 421 && said.includes(`HOST_IS_SLAVE(${first.address})`);
        if (lacked !== undefined) return status === 403 && said.includes(`${lacked.permission},`);
        return !unbuilt && ![0, 401, 403, 405, 500, 501].includes(status);
      };
      return expected() ? undefined : `${user ?? 'nobody'} ${path}${query}: ${status} ${said.slice(0, 200)}`;
    },
  );
  expect(found).toEqual([]);
}, 120_000);

test('whoever sits at the member has commands and files there, of the whole pool', async () => {
  const path = pathsFor(undefined, { XENACT_DATA: member.data }).xapiSocket;
  const uuid = String(await root.call('VDI.get_uuid', await newDisk(root, 1 << 20)));
  let got: Buffer | undefined;
  const transfer = async (_: string, __: string, url: string): Promise<boolean> => {
    got = await new Promise<Buffer>((resolve, reject) => {
      get({ socketPath: path, path: url }, (answer) => void buffer(answer).then(resolve, reject)).once(
        'error',
        reject,
      );
    });
    return true;
  };
  const at = { path };
  const words = ['vdi-export', `uuid=${uuid}`, 'filename=disk.raw'];
  expect(await xe(words, { at, transfer })).toMatchObject({ err: '', status: 0 });
  expect(got?.equals(Buffer.alloc(1 << 20))).toBe(true);
  const { hostname: host, port } = new URL(member.http);
  const asked = await xe(['vm-list'], { at: { host, port: Number(port) }, password });
  expect(asked).toMatchObject({ out: '', status: 1, err: expect.stringContaining(first.address) });
});
