// Goal: hosts call each other over real TLS links; calls batch, end in time, are given up, and survive cut links.
// Method: two or three meshes on the loopback, with a raw proxy between them where a link is to be cut.
import { afterEach, describe, expect, test } from 'vitest';
import { MeshFailure } from '../../src/mesh/failure.ts';
import type { MeshOptions } from '../../src/mesh/mesh.ts';
import { Fault } from '../../src/std/fault.ts';
import { join, type Node, startNode } from './fixture.ts';

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
