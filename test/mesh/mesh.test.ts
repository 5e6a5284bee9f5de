// Goal: hosts call each other over real TLS links; calls batch, end in time, are given up, and survive cut links.
// Method: two or three meshes on the loopback, with a raw proxy between them where a link is to be cut.

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { MeshFailure } from '../../src/mesh/failure.ts';
import type { MeshOptions } from '../../src/mesh/mesh.ts';
import { Fault } from '../../src/std/fault.ts';
import { join, linked, makeIdentity, type Node, peerState, startNode } from './fixture.ts';

const nodes: Node[] = [];
const start = async (host: string, options: Partial<MeshOptions> = {}): Promise<Node> => {
  const node = await startNode(host, options);
  nodes.push(node);
  return node;
};
afterEach(async () => {
  await Promise.all(nodes.splice(0).map(({ mesh }) => mesh.close()));
});

const pair = async (options: Partial<MeshOptions> = {}): Promise<[Node, Node]> => {
  const both: [Node, Node] = [await start('a', options), await start('b', options)];
  await join(both);
  return both;
};

const soon = { timeoutMs: 5_000 };

describe('a call', () => {
  test('is answered by the other host, both ways over the same link', async () => {
    const [a, b] = await pair();
    b.mesh.serve('double', (n: bigint) => n * 2n);
    a.mesh.serve('who', (_, { from }) => from);
    expect(await a.mesh.call('b', 'double', 21n, soon)).toBe(42n);
    expect(await b.mesh.call('a', 'who', undefined, soon)).toBe('b');
  });

  test('rejects with the fault that its handler threw', async () => {
    const [a, b] = await pair();
    b.mesh.serve('refuse', () => {
      throw new Fault('VM_BAD_POWER_STATE', ['OpaqueRef:1', 'halted', 'running']);
    });
    const error = await a.mesh.call('b', 'refuse', {}, soon).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Fault);
    expect(error).toMatchObject({ code: 'VM_BAD_POWER_STATE', params: ['OpaqueRef:1', 'halted', 'running'] });
  });

  test('of a name that nobody serves says so', async () => {
    const [a] = await pair();
    await expect(a.mesh.call('b', 'nothing', {}, soon)).rejects.toMatchObject({ reason: 'unknown' });
    await expect(a.mesh.call('c', 'nothing', {}, soon)).rejects.toBeInstanceOf(MeshFailure);
  });
});

/** Passes bytes on, until it is told to cut what is open. */
const startProxy = async (port: number): Promise<{ port: number; cut(): void; close(): void }> => {
  const sockets = new Set<Socket>();
  const server = createServer((here) => {
    const there = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [here, there],
      [there, here],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {});
      one.once('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as { port: number }).port,
    cut,
    close: () => {
      server.close();
      cut();
    },
  };
};

test('a cut connection rejects what is open at once, and a repeated request is done once', async () => {
  const [a, b] = [await start('a'), await start('b')];
  const proxy = await startProxy(b.address.port);
  const row = ({ host, address, identity }: Node) => ({ host, address, pins: [identity.pin] });
  // Only through the proxy: the other side knows no address that answers.
  b.mesh.setPeers([{ ...row(a), address: { host: '127.0.0.1', port: 1 } }]);
  a.mesh.setPeers([{ ...row(b), address: { host: '127.0.0.1', port: proxy.port } }]);
  await linked(a.mesh, 'b');
  let runs = 0;
  let begun = (): void => {};
  const began = new Promise<void>((resolve) => {
    begun = resolve;
  });
  let finish = (_: string): void => {};
  const finished = new Promise<string>((resolve) => {
    finish = resolve;
  });
  b.mesh.serve('once', () => {
    runs += 1;
    begun();
    return finished;
  });
  const options = { timeoutMs: 20_000, requestId: 'one' };
  const first = a.mesh.call('b', 'once', null, options).catch((error: unknown) => error);
  await began;
  const down = peerState(a.mesh, 'b', ({ state }) => state === 'down');
  proxy.cut();
  expect(await first).toMatchObject({ reason: 'unreachable' });
  await down;
  await linked(a.mesh, 'b');
  const second = a.mesh.call('b', 'once', null, options);
  finish('done');
  expect(await second).toBe('done');
  expect(runs).toBe(1);
  proxy.close();
});

test('three hosts reach each other, and a lost one is known to both others', async () => {
  const all = [await start('a'), await start('b'), await start('c')];
  await join(all);
  for (const { mesh } of all) mesh.serve('who', (_, { from }) => from);
  for (const one of all) {
    for (const other of all) {
      if (one !== other) expect(await one.mesh.call(other.host, 'who', null, soon)).toBe(one.host);
    }
  }
  const [a, b, c] = all as [Node, Node, Node];
  const lost = Promise.all([a, b].map(({ mesh }) => new Promise((resolve) => mesh.watch('c', resolve))));
  await c.mesh.close();
  expect(await lost).toEqual(['This host ends its links', 'This host ends its links']);
  expect(await a.mesh.call('b', 'who', null, soon)).toBe('a');
});

test('a new certificate is used for new links while the old one is pinned too', async () => {
  const [a, b] = await pair();
  const fresh = await makeIdentity();
  const row = { host: 'b', address: b.address };
  a.mesh.setPeers([{ ...row, pins: [b.identity.pin, fresh.pin] }]);
  b.mesh.setCertificate(fresh.certificate);
  expect(a.mesh.peers()[0]?.state).toBe('up');
  a.mesh.setPeers([{ ...row, pins: [fresh.pin] }]);
  await linked(a.mesh, 'b');
  b.mesh.serve('echo', (n: number) => n);
  expect(await a.mesh.call('b', 'echo', 1, soon)).toBe(1);
});
