import { createHash } from 'node:crypto';
import { Agent, request } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity, connect, type TLSSocket } from 'node:tls';
import {
  OtherPoolFailure,
  type OtherPools,
  type PoolAnswer,
  type PoolPlace,
  type PoolRequest,
} from '../other-pools.ts';
import { wholeBody } from './whole-body.ts';

const answerBytesMax = 4 << 20;
const authorityForm = /^(\[[0-9a-fA-F:.]+\]|[^:/[\]@]+)(?::(\d{1,5}))?$/;
const httpsPort = 443;
const connectMs = 30_000;

export const nodeOtherPools: OtherPools = {
  send: async (to, asked) => {
    const [, name, digits] = authorityForm.exec(to.authority) ?? [];
    if (name === undefined)
      throw new OtherPoolFailure('unreached', `${to.authority} is no host and no host:port`);
    const host = name.replaceAll(/[[\]]/g, '');
    const port = digits === undefined ? httpsPort : Number(digits);
    const socket = await connected(host, port, asked.signal);
    try {
      const doubt = doubtOf(socket, host, to);
      if (doubt !== undefined) throw new OtherPoolFailure('untrusted', `${to.authority}: ${doubt}`);
      return await exchange(socket, { host, port }, asked);
    } finally {
      socket.destroy();
    }
  },
};

/** Whose certificate it is, is looked at afterwards. */
const connected = (host: string, port: number, signal?: AbortSignal): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const named = isIP(host) === 0 ? { servername: host } : {};
    const socket = connect({ host, port, ...named, minVersion: 'TLSv1.2', rejectUnauthorized: false });
    const ended = (): void => void socket.destroy(new Error('No longer wanted'));
    const late = (): void => void socket.destroy(new Error(`No answer within ${connectMs} ms`));
    const timer = setTimeout(late, connectMs);
    const over = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', ended);
    };
    if (signal?.aborted === true) ended();
    signal?.addEventListener('abort', ended);
    socket.once('secureConnect', () => {
      over();
      resolve(socket);
    });
    // Stays, as an error that nobody hears would end the program.
    socket.on('error', ({ message }) => {
      over();
      reject(new OtherPoolFailure('unreached', message));
    });
  });

/** Why it is not who was meant. */
const doubtOf = (socket: TLSSocket, host: string, { fingerprint }: PoolPlace): string | undefined => {
  const shown = socket.getPeerCertificate();
  if (shown.raw === undefined) return 'it shows no certificate';
  const now = Date.now();
  if (Date.parse(shown.valid_from) > now) return 'its certificate is not valid yet';
  if (!(Date.parse(shown.valid_to) > now)) return 'its certificate has expired';
  const misnamed = checkServerIdentity(host, shown);
  if (misnamed !== undefined) return misnamed.message;
  if (fingerprint === undefined)
    return socket.authorized
      ? undefined
      : `nobody who is trusted here signed it (${socket.authorizationError})`;
  return createHash('sha256').update(shown.raw).digest('hex') === fingerprint.toLowerCase()
    ? undefined
    : 'it shows another certificate than was told';
};

const exchange = (
  socket: TLSSocket,
  place: { readonly host: string; readonly port: number },
  { method, path, contentType, body, idleMs, signal }: PoolRequest,
): Promise<PoolAnswer> =>
  new Promise((resolve, reject) => {
    const agent = new Agent({ maxSockets: 1 });
    agent.createConnection = () => socket;
    const whole = body instanceof Uint8Array;
    const sent = request({
      ...{ ...place, agent, method, path },
      ...(signal !== undefined && { signal }),
      headers: { 'content-type': contentType, ...(whole && { 'content-length': body.length }) },
    });
    const failed = (error: Error): void => {
      sent.destroy();
      reject(signal?.aborted === true ? error : new OtherPoolFailure('lost', error.message));
    };
    sent.setTimeout(idleMs, () => failed(new Error(`Nothing happened for ${idleMs} ms`)));
    sent.on('error', failed);
    let answered = false;
    sent.once('response', (response) => {
      answered = true;
      wholeBody(response, answerBytesMax).then(
        (bytes) => resolve({ status: response.statusCode ?? 0, body: bytes }),
        failed,
      );
    });
    if (whole) sent.end(body);
    else stream(body, sent, () => answered).catch(reject);
  });

/** Ends the request in the middle when the body does. */
const stream = async (
  body: AsyncIterable<Uint8Array>,
  sent: ReturnType<typeof request>,
  answered: () => boolean,
): Promise<void> => {
  try {
    for await (const piece of body) {
      // Whoever answers in the middle wants no more of it.
      if (answered()) break;
      await new Promise<void>((resolve, reject) =>
        sent.write(piece, (error) => (error ? reject(error) : resolve())),
      );
    }
    sent.end();
  } catch (error) {
    sent.destroy();
    throw error;
  }
};
