import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { wholeBody } from '../drivers/node/whole-body.ts';
import { StartFailure } from './start-failure.ts';

const timeoutMs = 10_000;
const answerBytesMax = 64 * 1_048_576;
const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * Asks a running host, with the password of a user. Its certificate is looked at only where it may be
 * somebody else's: on this machine nobody signs one.
 */
export const askHost = (method: 'GET' | 'POST', url: URL, auth: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const ask = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const rejectUnauthorized = !loopback.test(url.hostname);
    const options = { method, auth, rejectUnauthorized, signal: AbortSignal.timeout(timeoutMs) };
    const failed = ({ message }: Error): void =>
      reject(
        new StartFailure(
          `${url.origin} cannot be asked (${message}). Is xenact up there? Give another --url; of ` +
            'another machine the certificate must be signed by somebody whom NODE_EXTRA_CA_CERTS names.',
        ),
      );
    const sent = ask(url, options, (response) => {
      wholeBody(response, answerBytesMax).then(
        (bytes) => {
          const body = bytes.toString('utf8');
          const refused = `${url.origin} answered ${response.statusCode}: ${body.trim().slice(0, 500)}`;
          if (response.statusCode === 200) resolve(body);
          else reject(new StartFailure(refused));
        },
        (error: Error) => {
          sent.destroy();
          failed(error);
        },
      );
    });
    sent.once('error', failed);
    sent.end();
  });
