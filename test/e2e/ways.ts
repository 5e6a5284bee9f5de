import { expect } from 'vitest';
import { nodeNetwork } from '../../src/drivers/node/network.ts';
import { pathsOf } from '../../src/main/paths.ts';
import { nullRef } from '../../src/model/types.ts';
import { referenceJson } from '../reference.ts';
import { type Right, rightOf, type roles, type User } from '../rights.ts';
import { call } from './client.ts';
import { byConnect, byRequest, byWebSocket, type Door } from './doors.ts';
import type { PoolHost } from './hosts.ts';
import { password } from './xenact.ts';

// Users of each role, and all that they can ask hosts of a pool for.

export const secretOf = (user: User): string => (user === 'root' ? password : `secret of ${user}`);
export const nameOf = (user: User): string => (user === 'root' ? 'root' : `a-${user}`);

/** What those who may send are not asked to, as it names nothing that could be missing, and does what it says. */
export const spared: ReadonlyMap<string, string> = new Map([
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

/** As `xenact user add` does. */
export const addUser = async ({ data }: PoolHost, role: (typeof roles)[number]): Promise<void> => {
  const user = { act: 'add', name: nameOf(role), role, password: secretOf(role) };
  const options = { contentType: 'application/json', timeoutMs: 60_000, responseMax: 1 << 16 };
  const socket = { socketPath: pathsOf(data).apiSocket };
  const { body } = await nodeNetwork.post(socket, '/users', JSON.stringify(user), options);
  expect(body).toContain(nameOf(role));
};

/** Of everybody, by who it is. */
export const logInAll = async (http: string, all: readonly User[]): Promise<ReadonlyMap<User, string>> => {
  const login = (user: User) =>
    call(http, 'session.login_with_password', [nameOf(user), secretOf(user), '', 'walk']);
  return new Map(await Promise.all(all.map(async (user) => [user, (await login(user)) as string] as const)));
};

/** Does all of it, a few at a time, and answers what there is to say against it. */
export const complaints = async <T>(
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

/** What the reference has beside calls and asks a right for. */
const actions: readonly any[] = referenceJson<any>('datamodel.json').http_actions.filter(
  ({ rbac_checked }: any) => rbac_checked,
);
const served = new Set([
  'put_import_raw_vdi',
  'get_export_raw_vdi',
  'get_export',
  'get_export_metadata',
  'put_import',
  'put_import_metadata',
  'connect_console',
  'connect_console_ws',
  'get_vncsnapshot',
  'get_audit_log',
  'get_host_backup',
  'get_host_logs_download',
  'get_pool_xml_db_sync',
  'put_pool_xml_db_sync',
  'get_system_status',
  'put_blob',
]);

export interface Way {
  readonly door: Door;
  readonly path: string;
  readonly needs: readonly Right[];
  /** It is not built: who may ask for it hears that. */
  readonly unbuilt?: true;
}

/** Everything that can be asked for, with nothing that there is, and the consoles of the hosts by their `domain`. */
export const waysIn = (domain: string): readonly Way[] => [
  ...actions.flatMap(({ name, method, uri, roles: permitted, sub_actions }): readonly Way[] => {
    const door =
      name === 'connect_console_ws' ? byWebSocket : method === 'CONNECT' ? byConnect : byRequest(method);
    const nothing = `${uri}?uuid=${nullRef}&vdi=${nullRef}&since=20990101T00:00:00Z`;
    const needs = [rightOf(`http/${name}`, permitted)];
    // Any POST that is nothing else is a call.
    if (!served.has(name)) return method === 'POST' ? [] : [{ door, path: nothing, needs, unbuilt: true }];
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
export const credentials = (
  user: User,
  session: string,
  turn: number,
): { readonly query: string; readonly headers: Readonly<Record<string, string>> } =>
  turn % 2 === 0
    ? { query: `&session_id=${session}`, headers: {} }
    : {
        query: '',
        headers: {
          Authorization: `Basic ${Buffer.from(`${nameOf(user)}:${secretOf(user)}`).toString('base64')}`,
        },
      };
