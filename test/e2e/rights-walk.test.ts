// Goal: every right is asked at every door, of real users, on every host: nobody gets in who may not, nobody is kept
//   out who may.
// Method: a pool of two processes whose member serves clients. A user of each role, and root, log in on both and send
//   every message of the reference in both languages, with guarded keys, and ask by HTTP, CONNECT and WebSocket for
//   everything the reference has there. Who may what is the reference's.
import { Agent } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeNetwork } from '../../src/drivers/node/network.ts';
import { pathsOf } from '../../src/main/paths.ts';
import { nullRef } from '../../src/model/types.ts';
import { referenceJson } from '../reference.ts';
import {
  complaintAbout,
  keySteps,
  lackedBy,
  messageSteps,
  type Right,
  rightOf,
  roles,
  type Step,
  type User,
  users,
} from '../rights.ts';
import { call, logIn } from './client.ts';
import { byConnect, byRequest, byWebSocket, type Door, errorOfCall } from './doors.ts';
import { type Lab, lab, type PoolHost } from './hosts.ts';
import { rowsOf, text } from './lab.ts';
import { password } from './xenact.ts';

const secretOf = (user: User): string => (user === 'root' ? password : `secret of ${user}`);
const nameOf = (user: User): string => (user === 'root' ? 'root' : `a-${user}`);

/** What those who may send are not asked to, as it names nothing that could be missing, and does what it says. */
const spared: ReadonlyMap<string, string> = new Map([
  ['session.logout', 'ends the session of the walk'],
  ['session.local_logout', 'ends the session of the walk'],
  ['session.change_password', 'a wrong password makes the next logins of the address wait'],
  ['event.next', 'waits until something happens'],
  ['pool.emergency_transition_to_master', 'makes the member lead'],
  ['pool.emergency_reset_master', 'makes the member follow another'],
  ['pool.rotate_secret', 'parts the hosts for a while'],
  ['host.shutdown_agent', 'ends the process'],
  ['host.management_disable', 'takes the host off the network'],
  ['host.local_management_reconfigure', 'takes the host off the network'],
  ['host.emergency_reset_server_certificate', 'gives the host another certificate'],
]);

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
  sessions = await Promise.all(
    pool.hosts.map(async ({ http }) => {
      const login = (user: User) =>
        call(http, 'session.login_with_password', [nameOf(user), secretOf(user), '', 'walk']);
      return new Map(
        await Promise.all(users.map(async (user) => [user, (await login(user)) as string] as const)),
      );
    }),
  );
}, 240_000);
afterAll(async () => {
  agent.destroy();
  await pool?.close();
});

/** As `xenact user add` does. */
const addUser = async ({ data }: PoolHost, role: (typeof roles)[number]): Promise<void> => {
  const user = { act: 'add', name: nameOf(role), role, password: secretOf(role) };
  const options = { contentType: 'application/json', timeoutMs: 60_000, responseMax: 1 << 16 };
  const socket = { socketPath: pathsOf(data).apiSocket };
  const { body } = await nodeNetwork.post(socket, '/users', JSON.stringify(user), options);
  expect(body).toContain(nameOf(role));
};

/** Does all of it, a few at a time, and answers what there is to say against it. */
const complaints = async <T>(
  all: readonly T[],
  about: (one: T) => Promise<string | undefined>,
): Promise<readonly string[]> => {
  const found: string[] = [];
  const next = all[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (const one of next) {
      const complaint = await about(one);
      if (complaint !== undefined) found.push(complaint);
    }
  };
  await Promise.all(Array.from({ length: 12 }, work));
  return found;
};

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

/** What the reference has beside calls and asks a right for. */
const actions: readonly any[] = referenceJson<any>('datamodel.json').http_actions.filter(
  ({ rbac_checked }: any) => rbac_checked,
);
const served = new Set([
  'put_import_raw_vdi',
  'get_export_raw_vdi',
  'connect_console',
  'connect_console_ws',
  'get_audit_log',
]);

interface Way {
  readonly door: Door;
  readonly path: string;
  /** Undefined: it is not served, to nobody. */
  readonly needs: readonly Right[] | undefined;
}

/** Everything that can be asked for, with nothing that there is, and the consoles of the hosts by their `domain`. */
const waysIn = (domain: string): readonly Way[] => [
  ...actions.flatMap(({ name, method, uri, roles: permitted, sub_actions }): readonly Way[] => {
    const door =
      name === 'connect_console_ws' ? byWebSocket : method === 'CONNECT' ? byConnect : byRequest(method);
    const nothing = `${uri}?uuid=${nullRef}&vdi=${nullRef}&since=20990101T00:00:00Z`;
    // Any POST that is nothing else is a call.
    if (!served.has(name)) return method === 'POST' ? [] : [{ door, path: nothing, needs: undefined }];
    const needs = [rightOf(`http/${name}`, permitted)];
    const parts = Object.entries(sub_actions as Record<string, string>).map(([part, role]) => ({
      door,
      path: `${uri}?uuid=${domain}`,
      needs: [...needs, rightOf(`http/${name}/${part}`, [role])],
    }));
    return [{ door, path: nothing, needs }, ...parts];
  }),
  { door: byRequest('GET'), path: '/inspect?', needs: [rightOf('http/get_inspection', ['pool-admin'])] },
  {
    door: byRequest('POST'),
    path: '/pool/join-token?',
    needs: [rightOf('http/post_join_token', ['pool-admin'])],
  },
];

/** With what somebody asks: by turns his session, and his name and password. */
const credentials = (user: User, session: string, turn: number) =>
  turn % 2 === 0
    ? { query: `&session_id=${session}`, headers: {} }
    : {
        query: '',
        headers: {
          Authorization: `Basic ${Buffer.from(`${nameOf(user)}:${secretOf(user)}`).toString('base64')}`,
        },
      };

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
  return complaints(turns, async ({ way: { door, path, needs }, host, user, query, headers }) => {
    const { status, text: said } = await door(new URL(`${path}${query}`, host.http), headers).catch(
      (error: Error) => ({ status: 0, text: error.message }),
    );
    const lacked = user && needs && lackedBy(user, needs);
    const isRight =
      needs === undefined
        ? [404, 405, 501].includes(status)
        : user === undefined
          ? status === 401
          : lacked === undefined
            ? ![0, 401, 403, 405, 501].includes(status)
            : status === 403 && said.includes(`${lacked.permission},`);
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
