import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, TLSSocket } from 'node:tls';

export interface TlsCertificate {
  readonly key: string;
  readonly cert: string;
}

/** Lets a client that has just asked for it go on in TLS; rejects when it does not manage to. */
export const tlsServer = (stream: Duplex, certificate: TlsCertificate): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    const secureContext = createSecureContext({ ...certificate, minVersion: 'TLSv1.2' });
    const socket = new TLSSocket(stream as Socket, { isServer: true, secureContext });
    socket.once('secure', () => resolve(socket));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('The client went away in the middle of its greeting')));
  });
