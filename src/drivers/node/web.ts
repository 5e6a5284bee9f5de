import { lookup } from 'node:dns/promises';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { BlockList, type LookupFunction } from 'node:net';
import { BodyBroken } from '../http/http.ts';
import { type Web, type WebAsked, WebFailure } from '../web.ts';

const redirectsMax = 5;
const idleMsMax = 60_000;

export const nodeWeb: Web = {
  get: async (url, asked) => {
    let at = url;
    for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
      const answer = await answerOf(at, asked);
      const { statusCode = 0, headers } = answer;
      if (statusCode === 200) return { bytes: bytesOf(answer), close: () => void answer.destroy() };
      answer.destroy();
      const isMoved = [301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined;
      if (!isMoved) throw new WebFailure(`${at.host} answered ${statusCode}`);
      at = movedTo(headers.location ?? '', at);
    }
    throw new WebFailure(`${url.host} sends on more than ${redirectsMax} times`);
  },
};

const movedTo = (location: string, from: URL): URL => {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (to === undefined || !['http:', 'https:'].includes(to.protocol))
    throw new WebFailure(`${from.host} sends on to what is no URL of HTTP`);
  if (from.protocol === 'https:' && to.protocol === 'http:')
    throw new WebFailure(`${from.host} sends on from HTTPS to HTTP`);
  return to;
};

const within = new BlockList();
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
] as const)
  within.addSubnet(net, prefix, 'ipv4');
// Also addresses of the other kind in the notation of this one.
for (const [net, prefix] of [
  ['::', 96],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  within.addSubnet(net, prefix, 'ipv6');

/** Addresses are found once, so that the one that is asked is the one that was looked at. */
const addressesOf = async ({ hostname, host }: URL, asked: WebAsked) => {
  const found = await lookup(hostname.replace(/^\[|\]$/g, ''), { all: true }).catch(() => []);
  const open = found.filter(
    ({ address, family }) => asked.within || !within.check(address, family === 6 ? 'ipv6' : 'ipv4'),
  );
  const [first] = open;
  if (first !== undefined) return { first, open };
  throw new WebFailure(
    found.length === 0
      ? `Nobody knows where ${hostname} is`
      : `${host} is reached by this host alone: give a URL that others reach too`,
  );
};

const answerOf = async (url: URL, asked: WebAsked): Promise<IncomingMessage> => {
  const { first, open } = await addressesOf(url, asked);
  const found: LookupFunction = (_name, { all }, done) =>
    all === true ? done(null, open) : done(null, first.address, first.family);
  return new Promise((resolve, reject) => {
    const ask = url.protocol === 'https:' ? requestHttps : requestHttp;
    const sent = ask(url, { lookup: found, agent: false, signal: asked.signal });
    sent.setTimeout(idleMsMax, () => sent.destroy(new Error(`Nothing happened for ${idleMsMax} ms`)));
    sent.on('error', (error) =>
      reject(asked.signal.aborted ? asked.signal.reason : new WebFailure(`${url.host}: ${error.message}`)),
    );
    sent.once('response', resolve);
    sent.end();
  });
};

async function* bytesOf(answer: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* answer as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw new BodyBroken(error instanceof Error ? error.message : String(error));
  }
}
