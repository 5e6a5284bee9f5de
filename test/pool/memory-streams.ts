import { type Duplex, duplexPair } from 'node:stream';
import type { PoolContext } from '../../src/pool/context.ts';

type Serve = (
  payload: unknown,
  context: object,
) => Promise<(stream: Duplex) => void> | ((stream: Duplex) => void);

/** Streams of a mesh of two hosts in memory; the near ends are kept in `links`. */
export const memoryStreams = (links: Duplex[]): Pick<PoolContext['mesh'], 'serveStream' | 'open'> => {
  let serve: Serve | undefined;
  const mesh = {
    serveStream: (_: string, handler: Serve) => {
      serve = handler;
    },
    open: async (_host: string, _name: string, payload: unknown) => {
      const served = await (serve as Serve)(JSON.parse(JSON.stringify(payload)), {});
      const [near, far] = duplexPair();
      links.push(near);
      // A stream of the mesh that one side breaks off is broken off for the other.
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        one.on('error', () => {});
        one.once('close', () => other.destroy());
      }
      served(far);
      return near;
    },
  };
  return mesh as unknown as Pick<PoolContext['mesh'], 'serveStream' | 'open'>;
};
