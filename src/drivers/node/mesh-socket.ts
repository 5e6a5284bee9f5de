import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Wire, WireEvents } from '../mesh-wire.ts';

/** What a reason may take in the last frame of a WebSocket. */
const REASON_BYTES_MAX = 123;
/** How long the other side has to say goodbye too. */
const CLOSE_MS_MAX = 1_000;

/** A wire made of an open WebSocket upon a stream, which is paused until somebody receives. */
export const socketWire = (socket: WebSocket, stream: Socket, peerCertificate: string): Wire => {
  socket.pause();
  socket.binaryType = 'nodebuffer';
  const closed = new Promise<string>((resolve) => {
    let why = '';
    socket.on('error', (error) => {
      why ||= error.message;
    });
    socket.once('close', (code, reason) => resolve(why || reason.toString() || closeReason(code)));
  });
  let sent = (): void => {};
  return {
    peerCertificate,
    send: (message) => {
      if (socket.readyState === socket.OPEN) socket.send(message, () => sent());
    },
    bufferedBytes: () => socket.bufferedAmount,
    receivedBytes: () => stream.bytesRead,
    receive: (events) => {
      sent = events.drained;
      void closed.then(events.closed);
      deliver(socket, events);
      socket.resume();
    },
    close: (reason) => {
      socket.resume();
      socket.close(1000, shortened(reason));
      const timer = setTimeout(() => socket.terminate(), CLOSE_MS_MAX);
      void closed.then(() => clearTimeout(timer));
    },
  };
};

/** Cut between characters, as a reason must be valid UTF-8. */
const shortened = (reason: string): string => {
  let text = reason.slice(0, REASON_BYTES_MAX);
  while (Buffer.byteLength(text) > REASON_BYTES_MAX) text = text.slice(0, -1);
  return text;
};

const closeReason = (code: number): string =>
  code === 1006 ? 'The connection was cut' : `The connection was closed (${code})`;

/** One message after the other. Those that the socket had read already when it was paused wait here. */
const deliver = (socket: WebSocket, events: WireEvents): void => {
  const waiting: Uint8Array[] = [];
  let busy = false;
  const next = (): void => {
    busy = false;
    for (let message = waiting.shift(); message !== undefined; message = waiting.shift()) {
      if (hand(message)) return;
    }
    socket.resume();
  };
  /** True when the message is being worked on and the next one has to wait. */
  const hand = (message: Uint8Array): boolean => {
    const done = events.message(message);
    if (done === undefined) return false;
    busy = true;
    void done.then(next);
    return true;
  };
  socket.on('message', (data, isBinary) => {
    if (!isBinary) return socket.close(1003, 'Only binary messages are spoken here');
    if (busy) waiting.push(data as Buffer);
    else if (hand(data as Buffer)) socket.pause();
  });
};
