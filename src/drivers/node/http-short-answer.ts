import { type ServerResponse, STATUS_CODES } from 'node:http';
import { type Exchange, isArriving } from './http-exchange.ts';

/** A kept connection without a request ends after this long. */
export const KEPT_MS_MAX = 60_000;
/** Longer answers gain nothing from being one write with their head. */
const SHORT_MAX = 16_384;

type Headers = Readonly<Record<string, string>>;

/** What Node's response knows of its head. */
type HeadResponse = ServerResponse & { _header: string; _headerSent: boolean };

/**
 * Writes a whole answer, or says false where it is not of the plain kind, and has written nothing. Nearly
 * every call has a short answer on a connection that is kept, and Node's way of it costs more than the call:
 * each header is checked anew, and head, body and end are put together with corks. So the same bytes go
 * out as one text, and the response is told that its head is sent; it ends as any other.
 */
export const sendShort = (
  exchange: Exchange,
  status: number,
  headers: Headers,
  content: string | Uint8Array,
): boolean => {
  if (content.length > SHORT_MAX || !isPlain(exchange)) return false;
  const lines = linesOf(headers);
  if (lines === undefined) return false;
  const body = asLatin1(content);
  const { response, socket } = exchange;
  const head = response as HeadResponse;
  response.statusCode = status;
  const first = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}`;
  head._header = `${first}\r\nContent-Length: ${body.length}\r\n${lines}Date: ${date()}\r\n${kept}\r\n`;
  head._headerSent = true;
  socket.write(head._header + body, 'latin1');
  response.end();
  return true;
};

/** Bytes as characters, each of which becomes that byte again: so any content is one text with its head. */
const asLatin1 = (content: string | Uint8Array): string => {
  // Only of ASCII is a character a byte already.
  if (typeof content !== 'string')
    return Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
  return Buffer.byteLength(content) === content.length ? content : Buffer.from(content).toString('latin1');
};

const kept = `Connection: keep-alive\r\nKeep-Alive: timeout=${KEPT_MS_MAX / 1_000}\r\n`;

/** The connection goes on after it, and nothing is before it. */
const isPlain = (exchange: Exchange): boolean => {
  const { incoming, response, socket } = exchange;
  return (
    response.shouldKeepAlive &&
    !response.headersSent &&
    incoming.method === 'POST' &&
    // An earlier answer of the connection, or the rest of one, is still to be written.
    response.socket === socket &&
    socket.writableLength === 0 &&
    exchange.broken === undefined &&
    !isArriving(exchange)
  );
};

/** Headers are few and the same again and again, so their lines are made once for each object of them. */
const known = new WeakMap<Headers, string | undefined>();

const linesOf = (headers: Headers): string | undefined => {
  if (known.has(headers)) return known.get(headers);
  const entries = Object.entries(headers);
  const lines = entries.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const plain = entries.every(([name, value]) => !ours.test(name) && !unsafe.test(value));
  known.set(headers, plain ? lines : undefined);
  return known.get(headers);
};

/** What says more about the connection than a plain answer does, and what must not be in a header. */
const ours = /^(?:connection|content-length|date|keep-alive|trailer|transfer-encoding|upgrade)$|[^\w-]/i;
const unsafe = /[^\t\x20-\x7e]/;

let dateText = '';
let dateMs = Number.NaN;

/** Now, to the second. */
const date = (): string => {
  const ageMs = Date.now() - dateMs;
  if (ageMs >= 0 && ageMs < 1_000) return dateText;
  const now = new Date();
  dateText = now.toUTCString();
  dateMs = now.getTime() - now.getMilliseconds();
  return dateText;
};
