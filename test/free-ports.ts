import { createServer, type Server } from 'node:net';

/** Ports that are free on every address now, below those that the system gives to clients. */
export const freePorts = async (count: number): Promise<readonly number[]> => {
  const held: Server[] = [];
  while (held.length < count) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '0.0.0.0', () => resolve(true));
    });
    if (free) held.push(server);
  }
  const ports = held.map((server) => (server.address() as { port: number }).port);
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
};
