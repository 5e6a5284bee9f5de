import { once } from 'node:events';
import { longestFirst, routeAt } from '../../../src/edge/longest-path.ts';
import type { Case } from '../cases.ts';
import { against, skip } from '../subject.ts';
import { inLab, type Lab, scripts } from './lab.ts';

// What is asked for by HTTP: which action has it, who may, and what becomes of a task that was made for it.

/** The status of a request that has nothing but a head, also where its method is none of the usual. */
const statusOf = async (
  { doors }: Lab,
  method: string,
  target: string,
  headers: readonly string[] = [],
): Promise<{ readonly status: number; readonly head: string }> => {
  const socket = await doors.socket();
  try {
    const lines = [`${method} ${target} HTTP/1.1`, 'Host: 127.0.0.1', 'Content-Length: 0', ...headers];
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    let head = '';
    while (!head.includes('\r\n\r\n')) head += String((await once(socket, 'data'))[0]);
    return { status: Number(head.split(' ')[1]), head };
  } finally {
    socket.destroy();
  }
};

const route = async (lab: Lab, { given, when, then }: Case): Promise<unknown> => {
  const { method, path } = when as { method: string; path: string };
  if (given['host'] === 'member')
    skip('updates are not built: no host has anything at the paths of repositories');
  const declared = lab.sandbox.catalog.actions.map(({ name, action }) => ({
    ...{ name, method: action?.method, path: action?.path ?? '' },
  }));
  const found = routeAt(longestFirst(declared), path, (one) => one.method === method);
  const isNone = found?.name === 'get_root' && path !== '/';
  return {
    action: found?.name ?? null,
    ...('status' in then && { status: (await statusOf(lab, method, path)).status }),
    ...(isNone && !('status' in then) && { status: 404 }),
  };
};

/** References and names of a case, as they are in the lab. */
const authenticate = async (lab: Lab, { given, when, then }: Case): Promise<unknown> => {
  const { method, path, query = {}, cookie, authorization } = when as any;
  if ('client certificate' in when) skip('no client proves itself by a certificate');
  if ('pool_secret' in query && query['session_id'] === undefined)
    skip('hosts know each other by their certificates: there is no pool secret that a request could bring');
  if (then['status'] === 500) skip('a header that nobody knows is answered 401, with what to bring instead');
  const known = new Map<string, string>();
  for (const [name, role] of Object.entries<string>(given['sessions'] ?? {}))
    known.set(name, await lab.doors.sessionWithRole(role));
  for (const [name, blob] of Object.entries<any>(given['blobs'] ?? {}))
    known.set(name, await lab.ask('blob.create', 'text/plain', blob.public));
  const task: string = 'tasks' in given ? await taskOf(lab, [...known.values()][0]) : '';
  known.set('<t>', task);
  const real = (text: string): string => known.get(text) ?? text;
  const words = Object.entries<string>(query).map(
    ([name, value]) => `${name}=${encodeURIComponent(real(value))}`,
  );
  const basic = /^Basic (.*)$/.exec(authorization ?? '')?.[1];
  const { status, head } = await statusOf(lab, method, `${path}?${words.join('&')}`, [
    ...(cookie === undefined ? [] : [`Cookie: session_id=${real(cookie.session_id)}`]),
    ...(basic === undefined ? [] : [`Authorization: Basic ${Buffer.from(basic).toString('base64')}`]),
  ]);
  if (then['allowed'] === true) return { allowed: status !== 401 && status !== 403 };
  return against({ status, ...(await taskSaid(lab, task, then)), ...realmIn(head, then) }, { ...then });
};

const realmIn = (head: string, then: Case['then']): object =>
  'header WWW-Authenticate' in then
    ? { 'header WWW-Authenticate': /^WWW-Authenticate: (.*)\r$/im.exec(head)?.[1] }
    : {};

/** A task of the user of a session. */
const taskOf = async ({ doors, ask }: Lab, session: string | undefined): Promise<string> =>
  session === undefined ? ask('task.create', 'a task', '') : doors.call('task.create', session, 'a task', '');

const taskSaid = async ({ ask }: Lab, task: string, then: Case['then']): Promise<object> => {
  if (!('task <t>' in then)) return {};
  const status = String(await ask('task.get_status', task));
  if (status === 'pending') return { 'task <t>': 'still pending' };
  const [code, about] = await ask('task.get_error_info', task);
  return { 'task <t>': { status, error_info: [code, about, '<text>'] } };
};

const handle = async (lab: Lab, { given, when, then }: Case): Promise<unknown> => {
  const { method, path, query } = when as any;
  if (path === '/blob') return blobOf(lab, { given, when, then });
  if (path === '/system-status') return reportOf(lab, { given, when, then });
  return skip(
    `${method} ${path} with ${Object.keys(query).join(', ') || 'nothing'} is put to no host here yet`,
  );
};

const blobOf = async (lab: Lab, { given, when, then }: Case): Promise<unknown> => {
  if (then['status'] === 400) skip('what the query lacks is said with 500, as by the other actions');
  const known = given['blobs']['<b>'];
  const blob = await lab.ask('blob.create', known.mime_type, known.public);
  const uuid = when['query'].uuid === known.uuid ? await lab.ask('blob.get_uuid', blob) : when['query'].uuid;
  const sent = new Uint8Array(Number(when['header Content-Length'] ?? 0));
  const { status } = await lab.http(when['method'], `/blob?uuid=${uuid}`, sent);
  if (status !== 200) return against({ status }, { status: then['status'] });
  return against(
    { status, 'blob.size': Number(await lab.ask('blob.get_size', blob)) },
    { status: then['status'], 'blob.size': then['blob.size'] },
  );
};

const reportOf = async (lab: Lab, { when, then }: Case): Promise<unknown> => {
  if (then['archive'] === 'zip') skip('reports are packed as tar alone');
  const query = Object.entries<string>(when['query']).filter(([name]) => name !== 'task_id');
  const reply = await lab.http('GET', `/system-status?${new URLSearchParams(query)}`);
  if ('archive' in then) {
    const isTar = reply.headers['content-type'] === 'application/x-tar';
    return { archive: isTar ? 'tar' : String(reply.status) };
  }
  return against(
    { status: reply.status, 'header content-type': reply.headers['content-type'] },
    { status: then['status'], 'header content-type': then['header content-type'] },
  );
};

export const handlers = inLab(scripts({ route, authenticate, handle }));
