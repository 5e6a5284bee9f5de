import type { Duplex } from 'node:stream';
import { MeshFailure } from '../mesh/failure.ts';

/** Resolves once the stream has taken the bytes, as fast as the other side reads. Rejects where it is cut. */
export const sent = (to: Duplex, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    // When a stream is cut, nobody knows whether what was asked over it was done.
    const cut = (): void => reject(new MeshFailure('failed', 'The stream was cut'));
    if (to.destroyed) return cut();
    to.once('close', cut);
    to.write(bytes, (error) => {
      to.off('close', cut);
      if (error) reject(error);
      else resolve();
    });
  });
