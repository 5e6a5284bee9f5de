import { BodyBroken, BodyLate, BodyTooLarge, type HttpRequest } from '../drivers/http/http.ts';
import type { Clock } from '../std/clock.ts';
import { sourceOf } from '../std/source.ts';
import { NoRoom, type Room, roomOf } from './room.ts';

/** The bodies of calls, which are in memory as a whole. */
export interface Bodies {
  /**
   * Reads a body and has it used. Its memory counts until that has ended. Throws as `HttpRequest.bytes`, and
   * `NoRoom` where all bodies together would be too much.
   */
  hold<T>(request: BodyRequest, use: (body: Buffer) => Promise<T>): Promise<T>;
}

export type BodyRequest = Pick<HttpRequest, 'bytes' | 'contentLength' | 'remoteAddress'>;

export interface BodiesOptions {
  /** Whether this is a session that somebody has. */
  readonly isSession: (ref: string) => boolean;
  readonly clock: Clock;
  readonly strangersRoomBytesMax?: number;
  readonly knownRoomBytesMax?: number;
}

/**
 * Far above what a call needs, but extensions and plugins are sent whole files as parameters. Other
 * servers take 307,200 bytes.
 */
export const rpcBodyBytesMax = 16 * 1024 * 1024;
/** Of somebody whose session has not been seen: logins and all calls of common sizes are far smaller. */
export const strangerBodyBytesMax = 256 * 1024;
/** Such bodies are as small as heads are, and bounded like them by the number of connections. */
export const freeBodyBytesMax = 4_096;
/** All bodies together that arrive or are being worked on: of strangers, and of those with a session. */
export const strangersRoomBytesMax = 32 * 1024 * 1024;
export const knownRoomBytesMax = 128 * 1024 * 1024;
/** A body that takes longer is not waited for. */
export const strangerBodyMsMax = 30_000;
export const knownBodyMsMax = 300_000;

/** The session is the first parameter of a call, and so at its beginning: read without reading the call. */
const beginningBytes = freeBodyBytesMax;
const reference = /OpaqueRef:[0-9a-f]{8}-[0-9a-f-]{27}/g;
const referencesMax = 4;

export const bodiesOf = (options: BodiesOptions): Bodies => {
  const strangers = roomOf(options.strangersRoomBytesMax ?? strangersRoomBytesMax);
  const known = roomOf(options.knownRoomBytesMax ?? knownRoomBytesMax);

  const hasSession = (beginning: Buffer): boolean => {
    const text = beginning.subarray(0, beginningBytes).toString('latin1');
    const found = text.match(reference) ?? [];
    return found.slice(0, referencesMax).some(options.isSession);
  };

  /** Begins as a stranger's body, and goes on as what its beginning shows it to be. */
  const held = async <T>(request: BodyRequest, use: (body: Buffer) => Promise<T>): Promise<T> => {
    const source = sourceOf(request.remoteAddress);
    const expelled = new AbortController();
    const enter = (room: Room) => room.enter(source, (why: NoRoom) => expelled.abort(why));
    const announced = request.contentLength();
    let place = enter(strangers);
    const late = (): void => expelled.abort(new BodyLate(strangerBodyMsMax));
    const stopWaiting = options.clock.after(strangerBodyMsMax, late);
    let looked = false;
    let isKnown = false;
    const grown = (sizeBytes: number, beginning: () => Buffer): void => {
      if (!looked && sizeBytes >= beginningBytes) {
        looked = true;
        isKnown = hasSession(beginning());
        if (isKnown) {
          stopWaiting();
          place.leave();
          place = enter(known);
        }
        if (!isKnown && announced !== undefined && announced > strangerBodyBytesMax)
          throw new BodyTooLarge(strangerBodyBytesMax);
      }
      if (!isKnown && sizeBytes > strangerBodyBytesMax) throw new BodyTooLarge(strangerBodyBytesMax);
      place.fill(sizeBytes);
    };
    try {
      const limits = { bytesMax: rpcBodyBytesMax, withinMs: knownBodyMsMax };
      const body = await request.bytes({ ...limits, grown, signal: expelled.signal });
      stopWaiting();
      place.keep();
      return await use(body);
    } finally {
      stopWaiting();
      place.leave();
    }
  };

  return {
    hold: async (request, use) => {
      const announced = request.contentLength();
      if (announced === undefined || announced > freeBodyBytesMax) return held(request, use);
      return use(await request.bytes({ bytesMax: freeBodyBytesMax, withinMs: strangerBodyMsMax }));
    },
  };
};

/** The status that a body is refused with; undefined when something else is wrong. */
export const bodyStatus = (error: unknown): number | undefined => {
  if (error instanceof BodyTooLarge) return 413;
  if (error instanceof BodyLate) return 408;
  if (error instanceof BodyBroken) return 400;
  return error instanceof NoRoom ? 503 : undefined;
};
