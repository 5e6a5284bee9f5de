// A bare `node:http` server that answers the bytes that the product answered: the same head, the same body.
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answer } from './child.ts';
import { openWire } from './wire.ts';

const commands = {
  /** Asks the product once and serves what it said; answers with the port. */
  mirror: async ({ port, request }: { port: number; request: Uint8Array }): Promise<number> => {
    const wire = await openWire(port, true);
    const { head, pieces } = await wire.ask(request);
    wire.close();
    const body = Buffer.concat(pieces).subarray(head.length + 4);
    const lines = head.split('\r\n').slice(1);
    const headers = Object.fromEntries(
      lines.map((line) => line.split(/: /, 2) as [string, string]).filter(([name]) => !own.has(name)),
    );
    const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, response) => {
      incoming.resume();
      incoming.on('end', () => {
        response.writeHead(200, headers);
        response.end(body);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },

  /** Keeps every request waiting until one for `/change` comes, then answers all of them; answers with the port. */
  hold: async ({ bytes }: { bytes: number }): Promise<number> => {
    const body = Buffer.alloc(bytes, 'x');
    let waiting: ServerResponse[] = [];
    const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, response) => {
      incoming.resume();
      incoming.on('end', () => {
        if (incoming.url === '/') return waiting.push(response);
        if (incoming.url === '/change') {
          for (const one of waiting) one.writeHead(200, { 'Content-Length': bytes }).end(body);
          waiting = [];
        }
        return response.writeHead(200, { 'Content-Length': bytes }).end(body);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
};

/** What the server writes by itself, as the product's does. */
const own = new Set(['Date', 'Connection', 'Keep-Alive']);

export type Bare = typeof commands;
answer(commands);
