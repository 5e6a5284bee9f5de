import { ended } from './fixtures.ts';
import { type Run, refusal, type Scenario, same } from './scenario.ts';
import { bytesOf, type Client, textIn } from './server.ts';

const statusOf = async (
  { ask }: Client,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<number> => {
  const answer = await ask({ method: 'GET', path, headers });
  await bytesOf(answer);
  return answer.status;
};

const refusedAs = async (server: Client, path: string, headers: Readonly<Record<string, string>>) => {
  const status = await statusOf(server, path, headers);
  if (status < 400) throw new Error(`${path} was answered ${status}`);
};

const shared = '/sync_config_files/2';

const wrongSecrets = async ({ server }: Run): Promise<void> => {
  for (const separator of ['&', ';', '; ']) {
    const cookie = ['k1=v1', 'pool_secret=whatever', 'k3=v3'].join(separator);
    same(
      await statusOf(server, shared, { cookie }),
      401,
      `the status with cookies separated by ${separator}`,
    );
  }
};

/** No browser can take for a page what is said of a path. One that is malformed need not be repeated. */
const escaped = async ({ server }: Run): Promise<void> => {
  for (const path of [`/foo<>'"&`, `/%foo<>'"&`]) {
    const answer = await server.ask({ method: 'GET', path, verbatim: true });
    const body = (await bytesOf(answer)).toString('utf8');
    const repeated = body.includes('foo&lt;&gt;&apos;&quot;&amp;');
    if (body.includes('foo<') || !(repeated || path.startsWith('/%')))
      throw new Error(`${path} came back as ${body.slice(0, 120)}`);
  }
};

const noRepository = async (run: Run): Promise<void> => {
  const { server } = run;
  const task = String(await server.call('task.create', 'quicktest import', ''));
  run.later(() => server.call('task.destroy', task));
  const path = `/import_raw_vdi?session_id=${server.session}&sr_id=fake_sr&task_id=${task}`;
  const body = Buffer.alloc(512);
  const headers = { 'content-length': String(body.length) };
  const sending = async (): Promise<void> => {
    const answer = await server.ask({ method: 'PUT', path, headers, body: () => [body] });
    await bytesOf(answer);
    if (answer.status >= 400) throw new Error(String(answer.status));
  };
  await refusal(sending(), 'an import to a repository that is not there');
  same(textIn(await ended(run, task, 20_000), 'status'), 'failure', "the task's status");
};

export const doors: readonly Scenario[] = [
  {
    name: 'a wrong pool secret is refused',
    run: ({ server }) => refusedAs(server, shared, { cookie: 'pool_secret=whatever' }),
  },
  {
    name: 'a wrong password is refused',
    run: ({ server }) => refusedAs(server, '/rss', { authorization: 'Basic cm9vdDpiYXI=' }),
  },
  { name: 'cookies end with either separator', run: wrongSecrets },
  { name: 'paths that are not there are escaped', run: escaped },
  { name: 'an import to no repository fails, and its task', run: noRepository },
];
