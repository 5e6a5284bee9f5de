import { request } from 'node:https';
import type { PoolDoor } from '../pool-door.ts';

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
        const chunks: Buffer[] = [];
        let sizeBytes = 0;
        response.on('data', (chunk: Buffer) => {
          sizeBytes += chunk.length;
          if (sizeBytes > answerBytesMax) sent.destroy(new Error('The answer is too long'));
          else chunks.push(chunk);
        });
        response.once('error', reject);
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }),
        );
      });
      sent.end(body);
    }),
});
