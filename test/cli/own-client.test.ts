// Goal: our own client does what a server says and no more, ends as it is told, and completes what is typed.
// Method: the client against a world behind the real HTTP server, and against a server that is made up here.
import { connect, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { type CommandClient, obey } from '../../src/cli/client.ts';
import { completions } from '../../src/cli/completion.ts';
import { encodeOrder, greeting, type Order } from '../../src/cli/frames.ts';
import { loginOf } from '../../src/cli/login.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Served, served } from '../edge/served.ts';
import { xe } from './client.ts';

let at: Served;
beforeAll(async () => {
  at = await served({
    behaviours,
    rows: (tx) => {
      for (const [name, is_a_template] of [
        ['web', false],
        ['base', true],
      ] as const) {
        const fields = {
          uuid: `${name}-uuid`,
          name_label: name,
          power_state: 'Halted',
          is_a_template,
        } as const;
        tx.create('VM', `OpaqueRef:${name}` as Ref<'VM'>, fields);
      }
    },
  });
});
afterAll(() => at.close());

const clientWith = (more: Partial<CommandClient> = {}) => {
  const said = { out: '', err: '' };
  const client: CommandClient = {
    out: (text) => {
      said.out += text;
    },
    error: (text) => {
      said.err += text;
    },
    line: async () => undefined,
    read: async () => undefined,
    transfer: async () => false,
    connect: async () => false,
    named: () => false,
    debug: false,
    ...more,
  };
  return { said, client };
};

const run = async (words: readonly string[], more: Partial<CommandClient> = {}, port = at.port) => {
  const { said, client } = clientWith(more);
  const all = [...words, 'username=root', 'password=pa:ss'];
  const status = await obey(connect(port), all, client, nodeClock);
  return { ...said, status };
};

test('a command says and ends as it does with any other client', async () => {
  for (const words of [['vm-list'], ['help', 'vm-start'], ['vm-start', 'vm=nobody'], ['no-such']]) {
    const { out, err, status } = await xe(words, { at: { port: at.port } });
    expect(await run(words)).toEqual({ out, err, status });
  }
});

test('a question is answered with the line that is typed, and by nothing once there is none', async () => {
  const words = ['template-uninstall', 'template-uuid=base-uuid'];
  expect((await run(words, { line: async () => 'no' })).out).toContain("Aborted (you typed: 'no')");
  expect((await run(words)).status).toBe(1);
  expect(at.world.store.committed.get('VM', 'OpaqueRef:base' as Ref<'VM'>)).toBeDefined();
});

/** A server that gives orders, whatever it is asked; resolves with what the client sent after its greeting. */
const ordered = async (orders: readonly Order[], more: Partial<CommandClient> = {}) => {
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {});
    socket.write(Buffer.concat([greeting, ...orders.map(encodeOrder)]));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  try {
    const { port } = server.address() as { port: number };
    return await run(['help'], more, port);
  } finally {
    server.close();
  }
};

describe('a server', () => {
  test('gets no file, and writes none, that the user did not name', async () => {
    const touched: string[] = [];
    const client: Partial<CommandClient> = {
      read: async (file) => {
        touched.push(file);
        return Buffer.from('secret');
      },
      transfer: async (_, file) => {
        touched.push(file);
        return true;
      },
    };
    const file = '/home/user/.ssh/id_rsa';
    for (const order of [
      { kind: 'load', file },
      { kind: 'get', file, url: '/' },
      { kind: 'put', file, url: '/' },
    ])
      expect(await ordered([order as Order], client)).toMatchObject({
        ...{ err: `File not permitted: ${file}\n`, status: 1 },
      });
    expect(touched).toEqual([]);
  });

  test('that goes away, or speaks something else, ends the command', async () => {
    const error = { kind: 'error', code: 'CODE', params: ['a', 'b'] } as const;
    expect(await ordered([error, { kind: 'exit', status: -1 }])).toEqual({
      ...{ out: '', err: 'Error code: CODE\nError parameters: a, b\n', status: 255 },
    });
    const other = createServer((socket) =>
      socket.end('HTTP/1.1 500 Internal Server Error\r\n\r\n'.padEnd(60)),
    );
    await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    expect(await run(['help'], {}, port)).toMatchObject({ out: '', status: 1 });
    other.close();
  });
});

test("what is the client's own does not go to the server, and the command line counts first", () => {
  const login = loginOf(
    ['-s', 'there', 'vm-list', '--minimal', 'username=ann', '-pw', 'a=b', 'params=uuid'],
    'server=elsewhere,--nossl,name-label=a\\,b',
    'username=bob\nport=8443\n',
  );
  expect(login).toMatchObject({ server: 'there', port: '8443', user: 'ann', password: 'a=b', plain: true });
  expect(login.words).toEqual(['vm-list', '--minimal', 'params=uuid', 'name-label=a,b']);
});

describe('what is typed is completed', () => {
  const asked = async (words: readonly string[]): Promise<string> =>
    (await run(words)).out.replace(/\n$/, '');
  const complete = (...words: readonly string[]) => completions(words, asked);

  test('with commands, and with the parameters of one that were not given yet', async () => {
    expect(await complete('vm-snap')).toEqual(['vm-snapshot', 'vm-snapshot-with-quiesce']);
    expect(await complete('vm-start', 'paused=true', '')).toEqual(['force=', 'on=', 'vm=']);
    expect(await complete('vm-clone', 'new-name-l')).toEqual(['new-name-label=']);
  });

  test('with the names of objects, and with what fields are now', async () => {
    expect(await complete('vm-start', 'vm=w')).toEqual(['web']);
    expect(await complete('vm-param-get', 'uuid=web')).toEqual(['web-uuid']);
    expect(await complete('vm-list', 'power-state=')).toEqual(['halted']);
    expect(await complete('vm-list', 'affinity=')).toEqual([]);
    expect(at.takeErrors()).toEqual([]);
  });
});
