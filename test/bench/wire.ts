import { once } from 'node:events';
import { connect } from 'node:net';

/** A keep-alive connection that costs the client as little as can be: no parser, no headers, no pool. */
export interface Wire {
  /** Sends a request and resolves when the last byte of its answer is there. One at a time. */
  ask(request: Uint8Array): Promise<Answer>;
  close(): void;
}

export interface Answer {
  readonly head: string;
  readonly bodyBytes: number;
  /** What arrived, in pieces; the head is before it. Empty where only the bytes were counted. */
  readonly pieces: readonly Buffer[];
}

/** An answer longer than this is counted and not kept: a client that keeps it would be what is measured. */
const keptBytesMax = 1 << 22;
const headEnd = '\r\n\r\n';

export const openWire = async (port: number, keepAll = false): Promise<Wire> => {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let pieces: Buffer[] = [];
  let head = '';
  let expected = 0;
  let received = 0;
  let settle: ((answer: Answer) => void) | undefined;
  let fail: ((error: Error) => void) | undefined;

  const begin = (piece: Buffer): void => {
    const end = piece.indexOf(headEnd);
    if (end < 0) throw new Error('The head of an answer came in two pieces');
    head = piece.toString('latin1', 0, end);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (length === undefined) throw new Error(`An answer without a length: ${head}`);
    expected = end + headEnd.length + Number(length);
  };

  socket.on('data', (piece) => {
    if (received === 0) begin(piece);
    received += piece.length;
    if (keepAll || expected <= keptBytesMax) pieces.push(piece);
    if (received < expected) return;
    const answer: Answer = { head, bodyBytes: expected - head.length - headEnd.length, pieces };
    pieces = [];
    received = 0;
    settle?.(answer);
  });
  socket.on('error', (error) => fail?.(error));
  socket.on('close', () => fail?.(new Error('The server closed the connection')));
  await once(socket, 'connect');

  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        settle = resolve;
        fail = reject;
        socket.write(request);
      }),
    close: () => {
      fail = undefined;
      socket.destroy();
    },
  };
};

export const bodyOf = ({ head, pieces }: Answer): string =>
  Buffer.concat(pieces)
    .subarray(head.length + headEnd.length)
    .toString('utf8');

/** The bytes of a POST. */
export const posting = (path: string, body: string): Buffer =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
