// Goal: a client of one host is served by another as if it had come there; neither keeps anything that broke off.
// Method: the two ends over a pair of streams in memory, with an action at the far one that each test scripts.
import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { beforeEach, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { BodyBroken } from '../../src/drivers/http/http.ts';
import type { WireMessage } from '../../src/model/derive.ts';
import type { Ref } from '../../src/model/types.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import type { Client } from '../../src/objects/client.ts';
import { hostCaller, type Invocation } from '../../src/objects/invoke.ts';
import type { Carried } from '../../src/objects/places.ts';
import { pieceBytesMax, sendClient, serveClients } from '../../src/pool/clients.ts';
import type { PoolContext } from '../../src/pool/context.ts';
import { asFault, Fault } from '../../src/std/fault.ts';
import { silentLog } from '../../src/std/log.ts';
import { clientOf } from '../actors/client.ts';
import { memoryStreams } from './memory-streams.ts';

const there = 'OpaqueRef:there' as Ref<'host'>;
const message = catalogOf(classes, []).action('put_import_raw_vdi') as WireMessage;

type Action = (client: Client, until: AbortSignal, call: Carried) => Promise<void>;
let action: Action;
let context: PoolContext;
let up: boolean;
let links: Duplex[];

beforeEach(() => {
  up = true;
  links = [];
  context = {
    isUp: () => up,
    log: silentLog,
    store: { generation: 7, reached: async () => {} },
    mesh: memoryStreams(links),
  } as unknown as PoolContext;
  const streamFor = (call: Carried, by: Pick<Invocation, 'client' | 'until'>): Promise<void> => {
    const until = by.until as AbortSignal;
    return action((by.client as (signal: AbortSignal) => Client)(until), until, call);
  };
  serveClients(context, { streamFor }, Promise.resolve());
});

const ask = (client: Client, until?: AbortSignal): Promise<void> =>
  sendClient(context, there, {
    ...{ message, args: ['OpaqueRef:vdi', 'raw', '', ''], caller: hostCaller, watched: 'untracked' },
    ...{ client: () => client, ...(until && { until }) },
  });

test('what it sends arrives in order, whatever the sizes, and what it is answered too', async () => {
  const sent = [1, 70_000, pieceBytesMax + 5, 3].map((length, at) => Buffer.alloc(length, at + 1));
  const { client, answered } = clientOf(sent);
  const heads: unknown[] = [];
  const seen: Buffer[] = [];
  action = async (far, _, { method, args }) => {
    expect([method, args[0], far.sizeBytes]).toEqual(['http/put_import_raw_vdi', 'OpaqueRef:vdi', 9n << 30n]);
    for await (const chunk of far.body()) seen.push(Buffer.from(chunk));
    const to = far.answer({ type: 'text/plain', sizeBytes: 5n });
    await to.write(Buffer.from('taken'));
  };
  const answer: Client['answer'] = (head) => {
    heads.push(head);
    return client.answer(head);
  };
  await ask({ ...client, sizeBytes: 9n << 30n, answer });
  expect(Buffer.concat(seen).equals(Buffer.concat(sent))).toBe(true);
  expect(heads).toEqual([{ type: 'text/plain', sizeBytes: 5n }]);
  expect(String(Buffer.concat(answered))).toBe('taken');
});

test('a body that breaks off breaks off there', async () => {
  const body = async function* () {
    yield Buffer.from('half');
    throw new BodyBroken('cut');
  };
  let said: unknown;
  action = async (far) => {
    try {
      for await (const _ of far.body());
    } catch (error) {
      said = error;
      throw new Fault('VDI_IO_ERROR', ['half']);
    }
  };
  await expect(ask(clientOf(body()).client)).rejects.toMatchObject({
    code: 'VDI_IO_ERROR',
    params: ['half'],
  });
  expect(said).toBeInstanceOf(BodyBroken);
});

test('it is let in there as it would be here, and bytes go both ways until either ends', async () => {
  const [mine, other] = duplexPair();
  action = async (far) => {
    const stream = await far.open();
    stream.write('RFB');
    stream.on('data', (data: Buffer) => stream.end(`echo ${data}`));
    await once(stream, 'finish');
  };
  const asked = ask({ ...clientOf().client, open: async () => mine });
  expect(String((await once(other, 'data'))[0])).toBe('RFB');
  other.write('key');
  expect(String((await once(other, 'data'))[0])).toBe('echo key');
  await asked;
});

test('one that is gone ends the work there', async () => {
  const gone = new AbortController();
  const ended: Promise<unknown> = new Promise((resolve) => {
    action = (_, until) =>
      new Promise((_, reject) => {
        until.addEventListener('abort', () => {
          resolve(until.reason);
          reject(until.reason);
        });
        gone.abort(new Fault('SESSION_INVALID', ['s']));
      });
  });
  await expect(ask(clientOf().client, gone.signal)).rejects.toMatchObject({ code: 'SESSION_INVALID' });
  expect(asFault(await ended).code).toBe('TASK_CANCELLED');
});

test('a host that is off or breaks off is named', async () => {
  const { client } = clientOf();
  action = () => {
    for (const link of links) link.destroy();
    return new Promise(() => {});
  };
  await expect(ask(client)).rejects.toMatchObject({ code: 'CANNOT_CONTACT_HOST', params: [there] });
  up = false;
  await expect(ask(client)).rejects.toMatchObject({ code: 'HOST_OFFLINE', params: [there] });
});
