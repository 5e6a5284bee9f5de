// Goal: calls over HTTP have, byte for byte, the envelopes that XenAPI clients know, and whatever else is sent gets a clear answer.
// Method: recorded answers of another server and hostile bodies, sent to a whole host behind the real HTTP server.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { network as networkClass } from '../../actors/network/class.ts';
import { readJsonRpcResponse } from '../../src/codec/jsonrpc-reader.ts';
import { jsonCall } from '../../src/codec/jsonrpc-writer.ts';
import { readXmlRpcResponse } from '../../src/codec/xmlrpc-reader.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { rpcBodyBytesMax } from '../../src/edge/bodies.ts';
import type { Ref } from '../../src/model/types.ts';
import { implement } from '../../src/objects/implement.ts';
import type { Value } from '../../src/std/value.ts';
import { referenceText } from '../reference.ts';
import { at, type HttpReply, type Served, served } from './served.ts';

const network = 'OpaqueRef:network' as Ref<'network'>;

let host: Served;
let root: string;

beforeAll(async () => {
  host = await served({ rows: (tx) => tx.create('network', network, { uuid: 'n1', name_label: 'one' }) });
  root = await host.session();
});
afterAll(() => host.close());

const post = (path: string, body: string | Uint8Array, headers = {}): Promise<HttpReply> =>
  host.http('POST', path, { body, headers });
const json = (body: string | Uint8Array): Promise<HttpReply> => post('/jsonrpc', body);
const v1 = (method: string, ...params: readonly Value[]): string => jsonCall(method, params, 7n);
const v2 = (method: string, ...params: readonly Value[]): string =>
  `{"jsonrpc":"2.0",${v1(method, ...params).slice(1)}`;

describe('recorded answers', () => {
  const lines = referenceText('wire-golden.txt').split('\n');
  const section = (name: string): readonly string[] => {
    const start = lines.findIndex((line) => line.startsWith(`# ${name}`));
    return [1, 2, 3].map((n) => lines[start + n]!.replace(/^(XML-RPC|JSON-RPC v[12]) +/, ''));
  };
  const calls: [string, string, () => readonly Value[]][] = [
    ['void', 'network.set_name_label', () => [root, network, 'two']],
    ['failure', 'network.get_all', () => ['OpaqueRef:x']],
    ['unknown method', 'VM.nope', () => []],
    ['count', 'VM.start', () => ['OpaqueRef:x', 'a']],
    ['wrong type int', 'network.set_MTU', () => ['OpaqueRef:x', network, 'x']],
    ['wrong type int from bool', 'network.set_MTU', () => ['OpaqueRef:x', network, true]],
    ['wrong type bool', 'VM.set_is_a_template', () => ['OpaqueRef:x', 'a', 'true']],
    ['fault (no async mode)', 'Async.VM.get_record', () => [root, 'a']],
  ];
  test.for(calls)('%s', async ([name, method, params]) => {
    const answers = await Promise.all([
      post('/', xmlCall(method, params())),
      json(v1(method, ...params())),
      json(v2(method, ...params())),
    ]);
    expect(answers.map(({ body }) => body)).toEqual(section(name));
  });
});

describe('over HTTP', () => {
  test('any path but that of JSON-RPC takes XML-RPC', async () => {
    const call = xmlCall('network.get_name_label', [root, network]);
    for (const path of ['/', '/RPC2', '/xmlrpc', '/json', '/json/x?y=z']) {
      const reply = await post(path, call);
      expect([path, reply.status, reply.headers['content-type']]).toEqual([path, 200, 'text/xml']);
    }
    for (const path of ['/jsonrpc', '/jsonrpcX', '/jsonrpc/']) {
      const reply = await post(path, v2('network.get_name_label', root, network));
      expect([path, reply.status, reply.headers['content-type']]).toEqual([path, 200, 'application/json']);
    }
  });

  test('answers, failures among them, are 200, kept by no cache, and open to no other site', async () => {
    for (const reply of [await json(v2('VM.nope')), await post('/', xmlCall('VM.nope', []))]) {
      expect(reply.status).toBe(200);
      expect(reply.headers['cache-control']).toBe('no-cache, no-store');
      expect(reply.headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  test('what is no call is a failure in the language of its path, which says what is wrong with it', async () => {
    const bad = [
      ['/', 'garbage'],
      ['/', ''],
      ['/RPC2', '<methodCall><methodName>a.b</methodName></methodCall>'],
      ['/elsewhere', v2('VM.get_all')],
      ['/jsonrpc', '{'],
      ['/jsonrpc', '[]'],
      ['/jsonrpc', ''],
      ['/jsonrpc', xmlCall('VM.get_all', [])],
      ['/jsonrpc', '{"jsonrpc":"2.0","method":"a.b","params":[],"id":null}'],
      ['/jsonrpc', '{"method":"a.b","params":[99999999999999999999],"id":1}'],
      ['/jsonrpc', '{"method":"<b>","params":[<b>],"id":1}'],
    ] as const;
    for (const [path, body] of bad) {
      const reply = await post(path, body, { 'content-type': 'text/plain' });
      const isJson = path === '/jsonrpc';
      const type = isJson ? 'application/json' : 'text/xml';
      expect([body, reply.status, reply.headers['content-type']]).toEqual([body, 200, type]);
      const answer: any = isJson ? readJsonRpcResponse(reply.body) : readXmlRpcResponse(reply.body);
      expect(answer).toMatchObject({ kind: 'failure', error: ['INTERNAL_ERROR', expect.any(String)] });
      expect(answer.error[1]).toMatch(/^The request is not a call\. Expected .+\.$/);
    }
  });

  test('a result that cannot be written is an INTERNAL_ERROR of its call in both languages', async () => {
    const broken = await served({
      behaviours: [implement(networkClass, {}, { get_all: { read: () => 5 as never } })],
    });
    const session = await broken.session();
    const failure = { error: ['INTERNAL_ERROR', expect.any(String)] };
    expect(await broken.xml('network.get_all', session)).toEqual(failure);
    expect(await broken.json('network.get_all', session)).toEqual(failure);
    expect(broken.takeErrors()).toHaveLength(2);
    await broken.close();
  });

  test('a body over the limit is refused by its length alone, and as it arrives when it has none', async () => {
    const announced = await host.socket();
    announced.write(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${rpcBodyBytesMax + 1}\r\n\r\n`);
    const answer = await new Promise<string>((resolve) =>
      announced.once('data', (data) => resolve(String(data))),
    );
    announced.destroy();
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain(`limit of ${rpcBodyBytesMax} bytes`);

    const chunked = await host.socket();
    chunked.on('error', () => {});
    const refused = new Promise<string>((resolve) => chunked.once('data', (data) => resolve(String(data))));
    chunked.write('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = `100000\r\n${' '.repeat(1 << 20)}\r\n`;
    for (let i = 0; i <= 16; i++) chunked.write(chunk);
    expect(await refused).toMatch(/^HTTP\/1\.1 413 /);
    chunked.destroy();
  });

  test('chunked bodies are read', async () => {
    const call = xmlCall('network.get_name_label', [root, network]);
    const socket = await host.socket();
    const [head, tail] = [call.slice(0, 10), call.slice(10)];
    const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
    socket.write(
      `POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(head)}`,
    );
    socket.write(`${chunk(tail)}0\r\n\r\n`);
    let answer = '';
    for await (const data of socket) answer += data;
    expect(answer).toContain('<name>Status</name><value>Success</value>');
  });

  test('it says that it is ready, what is nowhere, and what it does not serve', async () => {
    expect(await host.http('GET', '/healthz')).toMatchObject({ status: 200, body: 'ok\n' });
    const nowhere = await host.http('GET', '/nowhere');
    expect([nowhere.status, nowhere.body]).toEqual([
      404,
      'There is nothing at /nowhere. XenAPI calls are POST to / or to /jsonrpc.\n',
    ]);
    const page = await host.http('GET', `/foo<>'"&`);
    expect(page.body).toMatch(/^There is nothing at \/foo&lt;&gt;&apos;&quot;&amp;\. /);
    expect((await host.http('DELETE', '/')).status).toBe(501);
  });
});

describe('text that is not UTF-8', () => {
  const broken = (text: string): Uint8Array => Buffer.from(text.replace('a?b', 'a\xffb'), 'latin1');

  test('in a parameter is refused before the session is looked at', async () => {
    const overXml = await post('/', broken(xmlCall('network.get_by_uuid', ['OpaqueRef:bad', 'a?b'])));
    expect(overXml.body).toContain(
      '<value>INVALID_VALUE</value><value>Invalid UTF-8 string in parameter</value>',
    );
    const overJson = await json(broken(v1('network.get_by_uuid', 'OpaqueRef:bad', 'a?b')));
    expect(JSON.parse(overJson.body)).toEqual({
      jsonrpc: '2.0',
      error: ['INVALID_VALUE', 'Invalid UTF-8 string in parameter', expect.any(String)],
      id: 0,
    });
  });

  test('is not what a client sent who sent the replacement character itself', async () => {
    expect(await host.call('network.set_name_label', root, network, 'a\ufffdb')).toBe('');
    expect(await host.call('network.get_name_label', root, network)).toBe('a\ufffdb');
  });
});

describe('values', () => {
  test('of 64 bits are exact both ways in both languages', async () => {
    const ints = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    await fc.assert(
      fc.asyncProperty(fc.oneof(ints, fc.constant(2n ** 53n + 1n)), async (int) => {
        expect(await host.json('network.set_MTU', root, network, int)).toEqual({ value: '' });
        expect(await host.json('network.get_MTU', root, network)).toEqual({ value: int });
        expect(await host.xml('network.set_MTU', root, network, int)).toEqual({ value: '' });
        expect(await host.xml('network.get_MTU', root, network)).toEqual({ value: String(int) });
      }),
      { numRuns: 25 },
    );
    expect(JSON.parse((await json(v2('network.set_MTU', root, network, 2n ** 63n))).body).error.code).toBe(
      -32_700,
    );
  });

  test('with odd keys and strings come back as they were sent, whoever reads them', async () => {
    // Control characters cannot be carried by XML at all.
    const text = fc
      .string({ unit: 'grapheme', maxLength: 20 })
      .filter((s) => !/(?![\t\n\r])[\p{Cc}\ufffe\uffff]/u.test(s));
    const key = fc.oneof(
      fc.constantFrom('__proto__', 'constructor', 'toString', '<&>"'),
      text.filter((name) => name !== ''),
    );
    const map = fc.array(fc.tuple(key, text), { maxLength: 8 }).map((pairs) => new Map(pairs));
    await fc.assert(
      fc.asyncProperty(map, async (given) => {
        for (const write of [host.xml, host.json]) {
          expect(await write('network.set_other_config', root, network, new Map([['x', 'y']]))).toEqual({
            value: '',
          });
          expect(await write('network.set_other_config', root, network, given)).toEqual({ value: '' });
          for (const read of [host.xml, host.json]) {
            const reply: any = await read('network.get_record', root, network);
            expect(at(reply.value, 'other_config')).toEqual(given);
            expect(await read('network.get_other_config', root, network)).toEqual({ value: given });
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

test('whatever is sent, the answer is that of a call, and the host goes on', async () => {
  const alive = async (): Promise<void> => expect((await host.http('GET', '/healthz')).status).toBe(200);
  const valid = [
    xmlCall('network.set_other_config', [root, network, new Map([['a', 'b']])]),
    v2('network.set_other_config', root, network, new Map([['a', 'b']])),
  ];
  const mutated = fc
    .tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(40), fc.uint8Array({ maxLength: 12 }))
    .map(([text, start, length, bytes]) => {
      const whole = Buffer.from(text);
      const from = start % whole.length;
      return Buffer.concat([whole.subarray(0, from), bytes, whole.subarray(from + length)]);
    });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('/', '/jsonrpc'),
      fc.oneof(
        mutated,
        fc.uint8Array({ maxLength: 200 }),
        fc.json().map((text) => Buffer.from(text)),
      ),
      async (path, body) => {
        const reply = await post(path, body);
        expect(reply.status).toBe(200);
        if (path === '/') readXmlRpcResponse(reply.body);
        else if (!reply.body.includes('"id":0}')) readJsonRpcResponse(reply.body);
      },
    ),
    { numRuns: 500 },
  );
  await alive();
  expect(host.takeErrors()).toEqual([]);
});
