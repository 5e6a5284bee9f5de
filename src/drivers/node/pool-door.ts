import { createHash } from 'node:crypto';
import { Agent, request } from 'node:https';
import { BlockList, isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { OpenDoor, PoolDoor, PoolDoorOptions, Posted } from '../pool-door.ts';
import { wholeBody } from './whole-body.ts';

const answerBytesMax = 1 << 20;
const addressForm = /^(?:https:\/\/)?(\[[0-9a-fA-F:.]+\]|[^:/[\]]+)(?::(\d{1,5}))?\/?$/;

/** `portDefault`: where the other side is looked for when its address names no port. */
export const nodePoolDoor = (portDefault: () => number): PoolDoor => ({
  open: async (address, timeoutMs) => {
    const [, name, digits] = addressForm.exec(address) ?? [];
    if (name === undefined) throw new Error(`${address} is no host and no host:port`);
    const host = name.replaceAll(/[[\]]/g, '');
    const port = digits === undefined ? portDefault() : Number(digits);
    const socket = await secured(host, port, timeoutMs);
    const { raw } = socket.getPeerCertificate();
    if (raw === undefined) {
      socket.destroy();
      throw new Error(`${address} shows no certificate`);
    }
    return {
      fingerprint: createHash('sha256').update(raw).digest('hex'),
      local: isLoopback(socket.remoteAddress ?? ''),
      ...posting(socket, { host, port }),
    };
  },
});

/** Whose certificate it is the caller decides: nobody signs it. */
const secured = (host: string, port: number, timeoutMs: number): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const named = isIP(host) === 0 ? { servername: host } : {};
    const socket = connect({ host, port, ...named, minVersion: 'TLSv1.3', rejectUnauthorized: false });
    const late = (): void => void socket.destroy(new Error(`No answer within ${timeoutMs} ms`));
    const timer = setTimeout(late, timeoutMs);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });

/**
 * Requests over the one connection; another is not made, since nobody would have looked at its certificate.
 */
const posting = (socket: TLSSocket, place: Place): Pick<OpenDoor, 'post' | 'close'> => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let used = false;
  agent.createConnection = () => {
    if (used) throw new Error('The connection was ended by the other side');
    used = true;
    return socket;
  };
  socket.on('error', () => {});
  return {
    post: (path, body, options) => post({ agent, ...place, path, body, options }),
    close: () => {
      agent.destroy();
      socket.destroy();
    },
  };
};

interface Place {
  readonly host: string;
  readonly port: number;
}

interface Post extends Place {
  readonly agent: Agent;
  readonly path: string;
  readonly body: Uint8Array;
  readonly options: PoolDoorOptions;
}

const post = ({ agent, host, port, path, body, options }: Post): Promise<Posted> =>
  new Promise((resolve, reject) => {
    const { invitation, timeoutMs } = options;
    const sent = request({
      ...{ agent, host, port, path, method: 'POST', signal: AbortSignal.timeout(timeoutMs) },
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': body.length,
        ...(invitation !== undefined && { authorization: `Bearer ${invitation}` }),
      },
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      wholeBody(response, answerBytesMax).then(
        (answer) => resolve({ status: response.statusCode ?? 0, body: answer }),
        (error: Error) => {
          sent.destroy();
          reject(error);
        },
      );
    });
    sent.end(body);
  });

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6');

const isLoopback = (address: string): boolean =>
  loopback.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
