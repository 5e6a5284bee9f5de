import type { Socket } from 'node:net';
import { sourceOf } from '../../std/source.ts';
import type { HttpLimits } from '../http/http.ts';

/** Connections over the limit that are still told so; more than these are cut without a word. */
export const REFUSED_MAX = 64;

/**
 * The open connections of a server, counted by where they come from. Where there are too many, of one source
 * or in all, one that does nothing gives way: the one that has done nothing longest, of the source that has
 * most.
 */
export interface Connections {
  /** False: the connection is one too many, and is only to be told so. */
  enter(socket: Socket): boolean;
  /** A request of it is being answered, or none is. */
  busy(socket: Socket): void;
  idle(socket: Socket): void;
  all(): Iterable<Socket>;
}

interface Source {
  readonly sockets: Set<Socket>;
  /** Those that do nothing, the one that has done nothing longest first. */
  readonly idle: Set<Socket>;
}

export const connectionsOf = ({
  connectionsMax,
  connectionsOfOneMax,
}: Pick<HttpLimits, 'connectionsMax' | 'connectionsOfOneMax'>): Connections => {
  const sources = new Map<string, Source>();
  const names = new Map<Socket, string>();
  const sourceFor = (socket: Socket): Source | undefined => sources.get(names.get(socket) ?? '');

  const leave = (socket: Socket): void => {
    const source = sourceFor(socket);
    source?.sockets.delete(socket);
    source?.idle.delete(socket);
    if (source?.sockets.size === 0) sources.delete(names.get(socket) ?? '');
    names.delete(socket);
  };
  const largest = (): Source | undefined => {
    let found: Source | undefined;
    for (const source of sources.values())
      if (source.idle.size > 0 && source.sockets.size > (found?.sockets.size ?? 0)) found = source;
    return found;
  };
  /** Ends a connection of the source that does nothing; false where each does something. */
  const giveWay = (source: Source | undefined): boolean => {
    const [longest] = source?.idle ?? [];
    if (longest === undefined) return false;
    leave(longest);
    longest.destroy();
    return true;
  };

  return {
    enter: (socket) => {
      const name = sourceOf(socket.remoteAddress ?? '');
      const source = sources.get(name) ?? { sockets: new Set(), idle: new Set() };
      const full = source.sockets.size >= connectionsOfOneMax;
      const hasRoom = (!full || giveWay(source)) && (names.size < connectionsMax || giveWay(largest()));
      source.sockets.add(socket);
      if (hasRoom) source.idle.add(socket);
      sources.set(name, source);
      names.set(socket, name);
      socket.once('close', () => leave(socket));
      return hasRoom;
    },
    busy: (socket) => void sourceFor(socket)?.idle.delete(socket),
    idle: (socket) => void sourceFor(socket)?.idle.add(socket),
    all: () => names.keys(),
  };
};
