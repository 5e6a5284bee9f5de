import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';

/** One message of a console or a tunnel; a longer one ends the connection with code 1009. */
const MESSAGE_BYTES_MAX = 4 * 1_048_576;

/** Answers WebSocket handshakes; each call is one connection as a stream of binary messages. */
export const webSockets = (): ((
  request: { readonly incoming: IncomingMessage; readonly socket: Duplex; readonly head: Buffer },
  protocol: string | undefined,
) => Promise<Duplex>) => {
  const chosen = new WeakMap<IncomingMessage, string>();
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
    handleProtocols: (_, incoming) => chosen.get(incoming) ?? false,
  });
  return ({ incoming, socket, head }, protocol) =>
    new Promise((resolve, reject) => {
      if (protocol !== undefined) chosen.set(incoming, protocol);
      // A handshake that is wrong is answered by the package, and the socket closed.
      const refused = (): void => reject(new Error('The WebSocket handshake is not valid or was cut off'));
      socket.once('close', refused);
      server.handleUpgrade(incoming, socket, head, (webSocket) => {
        socket.off('close', refused);
        const stream = createWebSocketStream(webSocket);
        // Whoever takes the stream hears of the error too; without a listener it would end the process.
        stream.on('error', () => {});
        resolve(stream);
      });
    });
};
