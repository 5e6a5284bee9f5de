import { WebSocket } from 'ws';
import type { Session } from './client.ts';
import { type Row, rowsOf, text } from './lab.ts';

/** A guest's serial line, as a client sees it through `/console`. */
export interface Serial {
  /**
   * Resolves once the guest has said this since it was last waited for, with what it said before;
   * rejects when the line ends before.
   */
  until(said: string): Promise<string>;
  send(keys: string): void;
  close(): void;
}

export const openSerial = async (session: Session, vm: string): Promise<Serial> => {
  const consoles = await rowsOf(session, 'console');
  const row = [...consoles.values()].find(
    (one: Row) => one.get('VM') === vm && one.get('protocol') === 'vt100',
  );
  const socket = new WebSocket(text(row, 'location').replace(/^https/, 'wss'), 'binary', {
    headers: { Cookie: `session_id=${session.ref}` },
    rejectUnauthorized: false,
  });
  let seen = '';
  let ended: Error | undefined;
  let look = (): void => {};
  socket.on('message', (bytes: Buffer) => {
    seen += bytes.toString('latin1');
    look();
  });
  const end = (error: Error): void => {
    ended ??= error;
    look();
  };
  socket.on('close', () => end(new Error(`The serial line ended after: ${seen}`)));
  socket.on('error', end);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  return {
    until: (said) =>
      new Promise((resolve, reject) => {
        look = () => {
          const at = seen.indexOf(said);
          if (at >= 0) {
            const before = seen.slice(0, at);
            seen = seen.slice(at + said.length);
            resolve(before);
          } else if (ended !== undefined) reject(ended);
        };
        look();
      }),
    send: (keys) => socket.send(Buffer.from(keys)),
    close: () => socket.terminate(),
  };
};
