import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type Duplex, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** The server that a command was sent to, as paths of it are asked for. */
export interface XeServer {
  readonly options: RequestOptions;
  readonly secure: boolean;
  readonly insecure: boolean;
}

export type Progress = (doneBytes: number, totalBytes: number | undefined) => void;

const redirectsMax = 5;
const loopback = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/;

/** Nobody signs a certificate for a machine's own address, and nobody else answers there. */
export const isTrusted = (host: string, insecure: boolean): boolean => insecure || loopback.test(host);

const ask = (server: XeServer, url: string, more: RequestOptions): ReturnType<typeof httpRequest> => {
  if (!url.startsWith('https://')) {
    const options = { ...server.options, ...more, path: url };
    return server.secure ? httpsRequest(options) : httpRequest(options);
  }
  const { hostname, port, pathname, search } = new URL(url);
  const rejectUnauthorized = !isTrusted(hostname, server.insecure);
  return httpsRequest({ ...more, hostname, port, path: pathname + search, rejectUnauthorized });
};

const answered = (sent: ReturnType<typeof httpRequest>): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    sent.once('response', resolve);
    sent.once('error', reject);
  });

const counting = (totalBytes: number | undefined, progress: Progress): Transform => {
  let doneBytes = 0;
  return new Transform({
    transform(chunk, _, done) {
      doneBytes += chunk.length;
      progress(doneBytes, totalBytes);
      done(null, chunk);
    },
  });
};

/** Asks one host. Undefined: the transfer is done; else it answered this, and nothing was transferred. */
type Attempt = (at: string) => Promise<IncomingMessage | undefined>;

/** Asks each host that is named until one transfers. */
const following = async (url: string, attempt: Attempt): Promise<void> => {
  let at = url;
  for (let moves = 0; moves <= redirectsMax; moves += 1) {
    const answer = await attempt(at);
    if (answer === undefined) return;
    answer.resume();
    const { location } = answer.headers;
    if (answer.statusCode !== 302 || location === undefined)
      throw new Error(`The server answered ${answer.statusCode}`);
    at = location;
  }
  throw new Error('The server sends from host to host');
};

/** Fetches a URL into a file that is not there yet, or onto the standard output. */
export const fetchFile = (server: XeServer, url: string, file: string, progress: Progress) =>
  following(url, async (at) => {
    const sent = ask(server, at, { method: 'GET' });
    const response = answered(sent);
    sent.end();
    const answer = await response;
    if (answer.statusCode !== 200) return answer;
    const said = Number(answer.headers['content-length'] ?? Number.NaN);
    const into = file === '' ? process.stdout : createWriteStream(file, { flags: 'wx', mode: 0o600 });
    await pipeline(answer, counting(Number.isNaN(said) ? undefined : said, progress), into);
    return undefined;
  });

/** Sends a file to a URL, once the server has said that it is the one to take it. */
export const sendFile = async (server: XeServer, url: string, file: string, progress: Progress) => {
  const { size } = await stat(file);
  await following(url, async (at) => {
    const headers = { 'Content-Length': size, Expect: '100-continue' };
    const sent = ask(server, at, { method: 'PUT', headers });
    const response = answered(sent);
    const taken = new Promise<undefined>((resolve) => sent.once('continue', () => resolve(undefined)));
    sent.flushHeaders();
    let answer = await Promise.race([response, taken]);
    if (answer === undefined) {
      await pipeline(createReadStream(file), counting(size, progress), sent);
      answer = await response;
    } else sent.destroy();
    if (answer.statusCode !== 200) return answer;
    answer.resume();
    return undefined;
  });
};

/** Ctrl + ] */
const leaves = 0x1d;

/** Joins a terminal with what a URL leads to, until the user leaves it or either side ends. */
export const joinTerminal = async (server: XeServer, url: string): Promise<void> => {
  const sent = ask(server, url, { method: 'CONNECT' });
  const joined = new Promise<Duplex>((resolve, reject) => {
    sent.once('error', reject);
    sent.once('response', ({ statusCode }) => reject(new Error(`The server answered ${statusCode}`)));
    sent.once('connect', ({ statusCode }, socket, head) => {
      if (statusCode !== 200) return reject(new Error(`The server answered ${statusCode}`));
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
  });
  sent.end();
  const socket = await joined;
  const { stdin, stdout } = process;
  const isTerminal = stdin.isTTY === true;
  if (isTerminal) stdin.setRawMode(true);
  try {
    socket.pipe(stdout, { end: false });
    stdin.on('data', (typed: Buffer) => {
      const at = typed.indexOf(leaves);
      socket.write(at < 0 ? typed : typed.subarray(0, at));
      if (at >= 0) socket.destroy();
    });
    stdin.once('end', () => socket.end());
    await new Promise<void>((resolve) => socket.once('close', () => resolve()).once('error', () => {}));
  } finally {
    if (isTerminal) stdin.setRawMode(false);
    stdin.pause();
    stdout.write('\r\n');
  }
};
