import type { Duplex } from 'node:stream';
import { errorOf, MeshFailure } from './failure.ts';
import type { Item } from './frame.ts';
import type { MeshLimits } from './limits.ts';
import type { Outbox } from './outbox.ts';
import { type ByteStream, byteStream } from './stream.ts';

export type StreamItem = Extract<Item, readonly ['data' | 'credit' | 'end' | 'cut', ...unknown[]]>;

/** The streams of one link, by the id that this side sends: above zero those that it opened. */
export interface Streams {
  /**
   * `outBytes`: what the other side takes before it gives credit. Undefined when there are too many already.
   */
  make(id: number, outBytes: number, anyEpoch: boolean): Duplex | undefined;
  credit(id: number, bytes: number): void;
  take(item: StreamItem, behind: MeshFailure | undefined): void;
  count(): number;
  close(failure: MeshFailure): void;
}

export const streamsOf = (outbox: Outbox, limits: MeshLimits): Streams => {
  const open = new Map<number, ByteStream>();

  return {
    make: (id, outBytes, anyEpoch) => {
      if (open.size >= limits.streamsMax) return undefined;
      const stream = byteStream({
        id,
        put: outbox.put,
        windowBytes: { out: outBytes, in: limits.streamWindowBytesMax },
        anyEpoch,
        gone: () => open.delete(id),
      });
      open.set(id, stream);
      return stream.duplex;
    },
    credit: (id, bytes) => open.get(id)?.credit(bytes),
    take: (item, behind) => {
      const stream = open.get(-item[1]);
      if (stream === undefined) return;
      if (behind !== undefined && !stream.anyEpoch) stream.duplex.destroy(behind);
      else if (item[0] === 'data') stream.data(item[2]);
      else if (item[0] === 'credit') stream.credit(item[2]);
      else if (item[0] === 'end') stream.end();
      else stream.cut(errorOf(item[2]));
    },
    count: () => open.size,
    close: (failure) => {
      for (const stream of [...open.values()]) stream.cut(failure);
    },
  };
};

export const tooManyStreams = (host: string): MeshFailure =>
  new MeshFailure('busy', `Too many streams are open with host ${host}: try again later`);
