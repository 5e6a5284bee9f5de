import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, type Server } from 'node:net';
import { type Endpoint, NetworkFailure } from '../network.ts';

/** What the kernel's address of a Unix socket holds, without its final zero. */
const SOCKET_PATH_BYTES_MAX = 107;

/** For messages: where somebody listens or should. */
export const place = (endpoint: Endpoint): string =>
  'socketPath' in endpoint ? endpoint.socketPath : `${endpoint.host} port ${endpoint.port}`;

/** Binds a server. A socket file that a dead process left is replaced, one that answers is not. */
export const bind = async (server: Server, on: Endpoint): Promise<Endpoint> => {
  if (!('socketPath' in on)) {
    await bound(server, on);
    return { host: on.host, port: (server.address() as AddressInfo).port };
  }
  assertSocketPath(on.socketPath);
  try {
    await bound(server, on);
  } catch (error) {
    const inUse = error instanceof NetworkFailure && error.reason === 'in-use';
    if (!inUse || !(await isAbandoned(on.socketPath))) throw error;
    rmSync(on.socketPath, { force: true });
    await bound(server, on);
  }
  return on;
};

/** A longer path would be refused by the system with an error that does not say why. */
export const assertSocketPath = (path: string): void => {
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return;
  const limit = `longer than the ${SOCKET_PATH_BYTES_MAX} bytes that a Unix socket's path may have`;
  throw new NetworkFailure('refused', `${path} is ${limit}: choose a shorter folder`);
};

const bound = (server: Server, on: Endpoint): Promise<void> =>
  new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException): void => {
      const inUse = error.code === 'EADDRINUSE';
      const why = inUse ? 'something is there already' : error.message;
      reject(new NetworkFailure(inUse ? 'in-use' : 'refused', `Cannot listen on ${place(on)}: ${why}`));
    };
    server.once('error', refuse);
    server.once('listening', () => {
      server.off('error', refuse);
      resolve();
    });
    if ('socketPath' in on) {
      server.listen(on.socketPath);
      // Bound by now, announced later: nobody of another user gets in between.
      if (server.listening) chmodSync(on.socketPath, 0o600);
    } else {
      server.listen(on.port, on.host);
    }
  });

/** True for a socket file behind which no process listens any more. Other files are never taken for one. */
const isAbandoned = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return resolve(false);
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
