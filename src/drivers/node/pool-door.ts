import { request } from 'node:https';
import type { PoolDoor } from '../pool-door.ts';
import { wholeBody } from './whole-body.ts';

const answerBytesMax = 1 << 20;
const addressForm = /^(?:https:\/\/)?(\[[0-9a-fA-F:.]+\]|[^:/[\]]+)(?::(\d{1,5}))?\/?$/;

/** `portDefault`: where the other side is looked for when its address names no port. */
export const nodePoolDoor = (portDefault: () => number): PoolDoor => ({
  post: (address, path, body, { user, password, timeoutMs }) =>
    new Promise((resolve, reject) => {
      const [, host, port] = addressForm.exec(address) ?? [];
      if (host === undefined) return reject(new Error(`${address} is no host and no host:port`));
      const sent = request({
        host: host.replaceAll(/[[\]]/g, ''),
        port: port === undefined ? portDefault() : Number(port),
        path,
        method: 'POST',
        auth: `${user}:${password}`,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.2',
        headers: { 'content-type': 'application/octet-stream', 'content-length': body.length },
        signal: AbortSignal.timeout(timeoutMs),
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
    }),
});
